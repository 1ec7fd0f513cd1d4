//! Octets read as a script: whatever is asked of it is there, zeros behind the end.

/// What is left to read.
#[derive(Debug)]
pub struct Script<'d>(&'d [u8]);

impl<'d> Script<'d> {
    /// A script of these octets.
    pub const fn new(octets: &'d [u8]) -> Self {
        Self(octets)
    }

    /// The next octet, until they are used up.
    pub fn more(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// The next octet, or zero.
    pub fn octet(&mut self) -> u8 {
        self.more().unwrap_or(0)
    }

    /// The next octet as an answer to yes or no.
    pub fn flag(&mut self) -> bool {
        self.octet() & 1 == 1
    }

    /// The next two octets as a number.
    pub fn number(&mut self) -> u16 {
        u16::from_be_bytes([self.octet(), self.octet()])
    }

    /// A number below `limit`, which is not zero: from one octet if that is enough.
    pub fn below(&mut self, limit: usize) -> usize {
        let number = if limit > 256 { usize::from(self.number()) } else { usize::from(self.octet()) };
        number % limit
    }

    /// So many octets, or what is left of them.
    pub fn octets(&mut self, length: usize) -> &'d [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
