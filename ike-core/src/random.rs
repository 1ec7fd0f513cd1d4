//! Randomness with a watch on it: a source that fails, or says the same twice, is not asked again and
//! nothing new begins. There is no fallback (RFC 7296 §5, RFC 4086).

use rand_core::{TryCryptoRng, TryRng};

use crate::crypto::RngFailure;

/// A source that stops for good at the first sign of failure.
#[derive(Debug)]
pub(crate) struct Random<R> {
    source: R,
    last: Option<[u8; 8]>,
    failed: bool,
}

impl<R: TryCryptoRng> Random<R> {
    pub(crate) const fn new(source: R) -> Self {
        Self { source, last: None, failed: false }
    }

    /// Fresh octets.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], RngFailure> {
        let mut octets = [0; N];
        self.try_fill_bytes(&mut octets).map_err(|_| RngFailure)?;
        Ok(octets)
    }
}

/// The source failed now or before.
#[derive(Debug)]
pub(crate) struct Failed;

impl core::fmt::Display for Failed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the source of randomness failed")
    }
}

impl core::error::Error for Failed {}

impl<R: TryCryptoRng> TryRng for Random<R> {
    type Error = Failed;

    fn try_next_u32(&mut self) -> Result<u32, Failed> {
        let mut octets = [0; 8];
        self.try_fill_bytes(&mut octets)?;
        let [a, b, c, d, ..] = octets;
        Ok(u32::from_be_bytes([a, b, c, d]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Failed> {
        let mut octets = [0; 8];
        self.try_fill_bytes(&mut octets)?;
        Ok(u64::from_be_bytes(octets))
    }

    fn try_fill_bytes(&mut self, octets: &mut [u8]) -> Result<(), Failed> {
        if self.failed || self.source.try_fill_bytes(octets).is_err() {
            self.failed = true;
            return Err(Failed);
        }
        let Some(first) = octets.first_chunk().copied() else {
            return Ok(());
        };
        // By chance this happens once in 2^64 draws.
        if self.last.replace(first) == Some(first) {
            self.failed = true;
            return Err(Failed);
        }
        Ok(())
    }
}

impl<R: TryCryptoRng> TryCryptoRng for Random<R> {}

#[cfg(test)]
mod tests {
    use super::*;

    struct Script(&'static [Option<u8>]);

    impl TryRng for Script {
        type Error = Failed;
        fn try_next_u32(&mut self) -> Result<u32, Failed> {
            Err(Failed)
        }
        fn try_next_u64(&mut self) -> Result<u64, Failed> {
            Err(Failed)
        }
        fn try_fill_bytes(&mut self, octets: &mut [u8]) -> Result<(), Failed> {
            let (first, rest) = self.0.split_first().ok_or(Failed)?;
            self.0 = rest;
            octets.fill(first.ok_or(Failed)?);
            Ok(())
        }
    }

    impl TryCryptoRng for Script {}

    /// A source that stutters is not trusted again, even when it goes on.
    #[test]
    fn repeated_output_stops_for_good() {
        let mut random = Random::new(Script(&[Some(1), Some(2), Some(2), Some(3)]));
        assert_eq!(random.array::<16>(), Ok([1; 16]));
        assert_eq!(random.array::<16>(), Ok([2; 16]));
        assert_eq!(random.array::<16>(), Err(RngFailure));
        assert_eq!(random.array::<16>(), Err(RngFailure));
    }

    /// A source that failed once is not asked again.
    #[test]
    fn failure_stops_for_good() {
        let mut random = Random::new(Script(&[Some(1), None, Some(3)]));
        assert_eq!(random.array::<8>(), Ok([1; 8]));
        assert_eq!(random.array::<8>(), Err(RngFailure));
        assert_eq!(random.array::<8>(), Err(RngFailure));
    }
}
