//! What the tests with vectors share.
#![allow(dead_code, reason = "each test program uses its part")]

/// The octets of a hexadecimal string; white space is skipped.
pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).unwrap()).collect();
    assert!(digits.len().is_multiple_of(2), "odd number of digits");
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

/// The octets of a hexadecimal string of known length.
pub fn array<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().unwrap()
}
