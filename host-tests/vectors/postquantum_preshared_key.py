"""Second implementation of what a post-quantum preshared key changes (RFC 8784 §3), for the known answers in
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

spii, spir = bytes(range(0, 8)), bytes(range(8, 16))
ni, nr = bytes(range(0x00, 0x20)), bytes(range(0x20, 0x40))
g_ir = bytes.fromhex("c74950607a12327f3204d94b6825bfb068b7f8319a9e3708ed3d43ce8130c950")
ppk = b"a post-quantum preshared key of more than 64 octets, one block of the hash"

lengths = (("SK_d", 32), ("SK_ei", 36), ("SK_er", 36), ("SK_pi", 32), ("SK_pr", 32))
stream = prf_plus(prf(ni + nr, g_ir), ni + nr + spii + spir, sum(length for _, length in lengths))
for name, length in lengths:
    key, stream = stream[:length], stream[length:]
    if name not in ("SK_ei", "SK_er"):
        key = prf_plus(ppk, key, length)
    print(name, key.hex())
