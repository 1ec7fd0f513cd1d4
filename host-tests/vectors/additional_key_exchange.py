"""Second implementation of what IKE_INTERMEDIATE adds (RFC 9242 §3.3.2, RFC 9370 §2.2.2), for the known
answers in tests/vectors_keys.rs. Uses nothing but Python's own hmac."""
import hmac, hashlib

def prf(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()

def prf_plus(key, seed, length):
    out, block, n = b"", b"", 1
    while len(out) < length:
        block = prf(key, block + seed + bytes([n]))
        out, n = out + block, n + 1
    return out[:length]

def seven(seed, nonces, spis):
    """SK_d, SK_ei, SK_er, SK_pi, SK_pr for ChaCha20-Poly1305 (36 octets with salt, no SK_a)."""
    stream, keys = prf_plus(seed, nonces + spis, 32 + 36 + 36 + 32 + 32), []
    for length in (32, 36, 36, 32, 32):
        keys.append(stream[:length])
        stream = stream[length:]
    return keys

spii, spir = bytes(range(0, 8)), bytes(range(8, 16))
ni, nr = bytes(range(0x00, 0x20)), bytes(range(0x20, 0x40))
g_ir = bytes.fromhex("c74950607a12327f3204d94b6825bfb068b7f8319a9e3708ed3d43ce8130c950")
sk1 = bytes.fromhex("d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de")

first = seven(prf(ni + nr, g_ir), ni + nr, spii + spir)
second = seven(prf(first[0], sk1 + ni + nr), ni + nr, spii + spir)
for name, value in zip(("SK_d", "SK_ei", "SK_er", "SK_pi", "SK_pr"), second):
    print(f"{name}(1)", value.hex())

def payload(kind_of_next, body):
    return bytes([kind_of_next, 0]) + (len(body) + 4).to_bytes(2, "big") + body

def int_auth(sk_p, flags, text, first_payload=34):
    """The message as it would be without IV, padding and ICV."""
    sk = bytes([first_payload, 0]) + (len(text) + 4).to_bytes(2, "big")
    header = spii + spir + bytes([46, 0x20, 43, flags]) + (1).to_bytes(4, "big")
    header += (28 + 4 + len(text)).to_bytes(4, "big")
    return prf(sk_p, header + sk + text)

kei = payload(0, (36).to_bytes(2, "big") + b"\0\0" + bytes(i % 251 for i in range(1184)))
ker = payload(0, (36).to_bytes(2, "big") + b"\0\0" + bytes(i % 241 for i in range(1088)))
i1, r1 = int_auth(first[3], 0x08, kei), int_auth(first[4], 0x20, ker)
print("IntAuth_i1", i1.hex())
print("IntAuth_r1", r1.hex())

idi = b"\x02\0\0\0a.example"
message = b"the request of IKE_SA_INIT"
octets = message + nr + prf(second[3], idi) + i1 + r1 + (2).to_bytes(4, "big")
print("AUTH of the initiator", prf(prf(b"secret", b"Key Pad for IKEv2"), octets).hex())
