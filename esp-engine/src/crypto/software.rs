//! Ciphers of RustCrypto.
