//! Randomness that is no accident: each draw is the next of a row, so that both orders of nonces can be
//! had by choice.

use rand_core::{TryCryptoRng, TryRng};

/// Which nonces are the lower ones.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Order {
    /// A's are lower than B's.
    pub a_is_lower: bool,
    /// Of one end, those drawn first are lower.
    pub rising: bool,
}

impl Order {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self { a_is_lower: true, rising: true },
        Self { a_is_lower: true, rising: false },
        Self { a_is_lower: false, rising: true },
        Self { a_is_lower: false, rising: false },
    ];
}

/// One end's row of draws.
#[derive(Clone, Hash, Debug)]
pub struct Lot {
    first: u8,
    rising: bool,
    drawn: u16,
}

impl Lot {
    /// The row of A or of B.
    pub fn new(order: Order, is_a: bool) -> Self {
        let first = if order.a_is_lower == is_a { 0x20 } else { 0x80 };
        Self { first, rising: order.rising, drawn: 0 }
    }

    fn block(&mut self) -> [u8; 8] {
        self.drawn += 1;
        let number = if self.rising { self.drawn } else { u16::MAX - self.drawn };
        let [high, low] = number.to_be_bytes();
        [self.first, high, low, 0x5A, 0xA5, 0x5A, self.first, low]
    }
}

impl TryRng for Lot {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        self.try_next_u64().map(|number| (number >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(u64::from_be_bytes(self.block()))
    }

    /// However long, it counts as one draw: the order of nonces is that of their first octets.
    fn try_fill_bytes(&mut self, octets: &mut [u8]) -> Result<(), Self::Error> {
        let block = self.block();
        octets.iter_mut().zip(block.iter().cycle()).for_each(|(to, from)| *to = *from);
        Ok(())
    }
}

impl TryCryptoRng for Lot {}
