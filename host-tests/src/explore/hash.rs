//! Hashes by which states are known again. Moments count as their distance from now; those that lie
//! farther than an hour ahead are all the same, and so are those farther than three minutes back.

use std::hash::{BuildHasherDefault, Hash, Hasher};

use esp_engine::time::Instant;

/// Ahead of this nothing is told apart.
const AHEAD: i64 = 3_600_000;
/// Behind this nothing is told apart: the longest that anything past is asked for (a response that is
/// kept for its request).
const BEHIND: i64 = -180_000;

/// Multiply and fold, 64 bits at a time.
pub struct Distance {
    now: i64,
    sum: u64,
}

impl Distance {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

    fn mix(&mut self, word: u64) {
        let product = u128::from(self.sum ^ word).wrapping_mul(u128::from(Self::FACTOR));
        self.sum = (product as u64) ^ ((product >> 64) as u64).rotate_left(23) ^ 0x51;
    }
}

impl Hasher for Distance {
    fn write(&mut self, octets: &[u8]) {
        let (words, rest) = octets.as_chunks::<8>();
        words.iter().for_each(|word| self.mix(u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.mix(u64::from_le_bytes(last));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.mix(u64::from(number));
    }

    fn write_u16(&mut self, number: u16) {
        self.mix(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.mix(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.mix(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(number as u64);
    }

    /// A moment (`Hash` of [`Instant`]).
    fn write_i64(&mut self, moment: i64) {
        // The far end of time is -1 here.
        let ahead = if moment < 0 { AHEAD } else { (moment - self.now).clamp(BEHIND, AHEAD) };
        self.mix(ahead.cast_unsigned());
    }

    fn finish(&self) -> u64 {
        self.sum ^ (self.sum >> 29)
    }
}

/// The hash of something at this moment.
pub fn at(now: Instant, value: &impl Hash) -> u64 {
    let mut hasher = Distance { now: now.as_millis().cast_signed(), sum: 0x243F_6A88_85A3_08D3 };
    value.hash(&mut hasher);
    hasher.finish()
}

/// States that were seen.
pub type Seen = std::collections::HashMap<u64, u16, BuildHasherDefault<Same>>;

/// What is a hash already needs no other.
#[derive(Default)]
pub struct Same(u64);

impl Hasher for Same {
    fn write(&mut self, _: &[u8]) {
        unreachable!("only hashes are kept");
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
