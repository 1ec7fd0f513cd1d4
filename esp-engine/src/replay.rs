//! The anti-replay window (RFC 4303 §3.4.3 and Appendix A2): checked before authentication, moved
//! only after it.
//!
//! The window is a ring of bits, one for each of the last W sequence numbers up to the highest one
//! that was authenticated. W is 32 times the number of words, a power of two.

/// Why a sequence number is refused before anything is decrypted.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Refused {
    /// Seen before.
    Replayed,
    /// Left of the window, or in a subspace that cannot be.
    TooOld,
    /// Zero is never sent (RFC 4303 §3.3.3).
    Zero,
}

/// One SA's window.
#[derive(Debug)]
pub struct Window<'a> {
    highest: &'a mut u64,
    bits: &'a mut [u32],
}

impl<'a> Window<'a> {
    /// A view of the highest authenticated number (0 at first) and of the words of the ring, whose
    /// count is a power of two.
    pub fn new(highest: &'a mut u64, bits: &'a mut [u32]) -> Self {
        Self { highest, bits }
    }

    /// Packets that the window remembers.
    pub fn size(&self) -> u64 {
        self.bits.len() as u64 * 32
    }

    /// The full sequence number of a packet that carries `low`, if it is neither seen nor too old.
    ///
    /// # Errors
    /// [`Refused`]; the window is as before in any case.
    pub fn check(&self, low: u32, extended: bool) -> Result<u64, Refused> {
        let number = if extended { self.extend(low)? } else { u64::from(low) };
        if number == 0 {
            return Err(Refused::Zero);
        }
        if number > *self.highest {
            return Ok(number);
        }
        if self.highest.abs_diff(number) >= self.size() {
            return Err(Refused::TooOld);
        }
        match self.word(number) {
            Some(word) if word & bit(number) == 0 => Ok(number),
            _ => Err(Refused::Replayed),
        }
    }

    /// RFC 4303 Appendix A2.2: the high half follows from where the window stands.
    fn extend(&self, low: u32) -> Result<u64, Refused> {
        let (top_low, top_high) = (*self.highest as u32, (*self.highest >> 32) as u32);
        let span = self.bits.len() as u32 * 32 - 1;
        let bottom = top_low.wrapping_sub(span);
        let high = match (top_low >= span, low >= bottom) {
            (true, true) | (false, false) => Some(top_high),
            (true, false) => top_high.checked_add(1),
            (false, true) => top_high.checked_sub(1),
        };
        let high = high.ok_or(Refused::TooOld)?;
        Ok(u64::from(high) << 32 | u64::from(low))
    }

    /// Marks an authenticated number as seen and moves the window if it is the highest. Returns
    /// whether it was.
    pub fn update(&mut self, number: u64) -> bool {
        let advances = number > *self.highest;
        if advances {
            self.clear_up_to(number);
            *self.highest = number;
        }
        if let Some(word) = self.word_mut(number) {
            *word |= bit(number);
        }
        advances
    }

    /// Forgets what the ring says of the numbers behind the highest one up to `number`.
    fn clear_up_to(&mut self, number: u64) {
        if number - *self.highest >= self.size() {
            self.bits.fill(0);
            return;
        }
        let mut next = *self.highest + 1;
        // One turn a word, at most one more than there are words.
        while next <= number {
            let last = number.min(next | 31);
            let upper = u32::MAX >> (31 - (last & 31));
            let lower = u32::MAX << (next & 31);
            if let Some(word) = self.word_mut(next) {
                *word &= !(upper & lower);
            }
            let Some(following) = last.checked_add(1) else { return };
            next = following;
        }
    }

    fn word(&self, number: u64) -> Option<u32> {
        self.bits.get(self.index(number)).copied()
    }

    fn word_mut(&mut self, number: u64) -> Option<&mut u32> {
        let index = self.index(number);
        self.bits.get_mut(index)
    }

    fn index(&self, number: u64) -> usize {
        (number >> 5) as usize & self.bits.len().wrapping_sub(1)
    }
}

fn bit(number: u64) -> u32 {
    1 << (number & 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(window: &mut Window<'_>, low: u32, extended: bool) -> Result<u64, Refused> {
        let number = window.check(low, extended)?;
        window.update(number);
        Ok(number)
    }

    /// RFC 4303 §3.4.3: exactly what was seen or lies left of the window is refused.
    #[test]
    fn edges_of_the_window() {
        for words in [1, 2, 128] {
            let (mut highest, mut bits) = (0, [0; 128]);
            let mut window = Window::new(&mut highest, &mut bits[..words]);
            let size = window.size() as u32;
            let top = 3 * size + 7;
            assert_eq!(receive(&mut window, top, false), Ok(u64::from(top)));
            assert_eq!(window.check(top, false), Err(Refused::Replayed));
            assert_eq!(window.check(top - size, false), Err(Refused::TooOld));
            assert_eq!(receive(&mut window, top - size + 1, false), Ok(u64::from(top - size + 1)));
            assert_eq!(window.check(top - size + 1, false), Err(Refused::Replayed));
            assert_eq!(receive(&mut window, top + 1, false), Ok(u64::from(top + 1)));
            assert_eq!(window.check(top - size + 1, false), Err(Refused::TooOld));
        }
    }

    #[test]
    fn every_number_passes_once_in_any_order() {
        let (mut highest, mut bits) = (0, [0; 4]);
        let mut window = Window::new(&mut highest, &mut bits);
        for block in 0..40_u32 {
            for step in 0..61 {
                let low = block * 61 + (step * 17) % 61 + 1;
                assert_eq!(receive(&mut window, low, false), Ok(u64::from(low)));
                assert_eq!(window.check(low, false), Err(Refused::Replayed));
            }
        }
    }

    /// RFC 4303 §3.4.3: a check alone moves nothing, however far ahead the number.
    #[test]
    fn check_does_not_move_the_window() {
        let (mut highest, mut bits) = (100, [0; 2]);
        let window = Window::new(&mut highest, &mut bits);
        assert_eq!(window.check(1 << 31, false), Ok(1 << 31));
        assert_eq!(window.check(99, false), Ok(99));
        assert_eq!(highest, 100);
    }

    #[test]
    fn zero_is_refused() {
        let (mut highest, mut bits) = (0, [0; 1]);
        for extended in [false, true] {
            let window = Window::new(&mut highest, &mut bits);
            assert_eq!(window.check(0, extended), Err(Refused::Zero));
        }
    }

    /// RFC 4303 App. A2.2, case A (the window lies in one subspace) and case B (it spans two).
    #[test]
    fn high_half_follows_the_window() {
        let extend = |mut highest: u64, low: u32| Window::new(&mut highest, &mut [0; 2]).check(low, true);
        let th = 5_u64 << 32;
        // Case A, Tl >= W - 1.
        assert_eq!(extend(th + 1000, 937), Ok(th + 937), "left edge");
        assert_eq!(extend(th + 1000, 936), Ok((6 << 32) + 936), "below it: the next subspace");
        assert_eq!(extend(th + 63, 0), Ok(th), "Tl = W - 1: bottom is 0");
        assert_eq!(extend(th + 0xffff_ffff, 0), Ok(6 << 32));
        // Case B, Tl < W - 1.
        assert_eq!(extend(th + 62, u32::MAX), Ok((4 << 32) + 0xffff_ffff), "previous subspace");
        assert_eq!(extend(th + 62, u32::MAX - 1), Ok(th + 0xffff_fffe), "left of it: this subspace");
        assert_eq!(extend(th, 0xffff_ffc1), Ok((4 << 32) + 0xffff_ffc1));
        assert_eq!(extend(th, 0xffff_ffc0), Ok(th + 0xffff_ffc0));
    }

    /// There is no subspace before the first or behind the last.
    #[test]
    fn subspaces_do_not_wrap() {
        let (mut highest, mut bits) = (10, [0; 2]);
        assert_eq!(Window::new(&mut highest, &mut bits).check(u32::MAX, true), Err(Refused::TooOld));
        highest = u64::MAX - 10;
        assert_eq!(Window::new(&mut highest, &mut bits).check(3, true), Err(Refused::TooOld));
        highest = u64::MAX - 1;
        let mut window = Window::new(&mut highest, &mut bits);
        assert_eq!(receive(&mut window, u32::MAX, true), Ok(u64::MAX));
        assert_eq!(window.check(u32::MAX, true), Err(Refused::Replayed));
    }
}
