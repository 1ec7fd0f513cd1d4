"""Second implementation of the keys behind IKE_FOLLOWUP_KE (RFC 9370 §2.2.4), for the known answers in
tests/vectors_keys.rs. Uses nothing but Python's own hmac."""
import hmac, hashlib

def prf(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()

def prf_plus(key, seed, length):
    out, block, n = b"", b"", 1
    while len(out) < length:
        block = prf(key, block + seed + bytes([n]))
        out, n = out + block, n + 1
    return out[:length]

sk_d = bytes(range(0x60, 0x80))
ni, nr = bytes(range(0x80, 0xA0)), bytes(range(0xA0, 0xC0))
sk0, sk1 = bytes(range(0x20, 0x40)), bytes(range(0x40, 0x60))
spii, spir = bytes(range(0, 8)), bytes(range(8, 16))
material = sk0 + ni + nr + sk1

seed = prf(sk_d, material)
stream = prf_plus(seed, ni + nr + spii + spir, 32 + 36 + 36 + 32 + 32)
for name, length in (("SK_d", 32), ("SK_ei", 36), ("SK_er", 36), ("SK_pi", 32), ("SK_pr", 32)):
    print(name, stream[:length].hex())
    stream = stream[length:]

keymat = prf_plus(sk_d, material, 72)
print("from the initiator", keymat[:36].hex())
print("from the responder", keymat[36:].hex())
