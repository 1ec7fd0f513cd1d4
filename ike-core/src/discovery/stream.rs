//! Messages on a connection: two octets of length in front of each (RFC 1035 §4.2.2, RFC 7766 §8).

/// Octets of the longest message that is taken.
pub const MAX_MESSAGE: usize = 4096;

/// The one message that is waited for on a connection.
#[derive(Clone, Debug)]
pub struct Stream<const N: usize = MAX_MESSAGE> {
    length: heapless::Vec<u8, 2>,
    message: heapless::Vec<u8, N>,
}

/// The message is longer than what is taken.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct TooLong;

impl<const N: usize> Stream<N> {
    /// Nothing has come.
    pub const fn new() -> Self {
        Self { length: heapless::Vec::new(), message: heapless::Vec::new() }
    }

    /// Some octets came; the message, if it is whole now. What comes behind it is nobody's.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn push(&mut self, octets: &[u8]) -> Result<Option<&[u8]>, TooLong> {
        for octet in octets {
            let full = match self.length.push(*octet) {
                Ok(()) => Ok(()),
                Err(octet) if self.message.len() < self.announced() => self.message.push(octet),
                Err(_) => break,
            };
            full.map_err(|_| TooLong)?;
        }
        match self.length.is_full() && self.message.len() == self.announced() {
            true => Ok(Some(&self.message)),
            false if self.announced() > N => Err(TooLong),
            false => Ok(None),
        }
    }

    fn announced(&self) -> usize {
        match *self.length.as_slice() {
            [high, low] => usize::from(u16::from_be_bytes([high, low])),
            _ => 0,
        }
    }
}

impl<const N: usize> Default for Stream<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7766 §8: the length may come apart from the message, and the message in pieces.
    #[test]
    fn messages_in_pieces() {
        let mut stream = Stream::<8>::new();
        assert_eq!(stream.push(&[0]), Ok(None));
        assert_eq!(stream.push(&[3, 1]), Ok(None));
        assert_eq!(stream.push(&[2]), Ok(None));
        assert_eq!(stream.push(&[3, 9, 9]), Ok(Some([1, 2, 3].as_slice())));
    }

    /// What announces more than there is room for is not waited for.
    #[test]
    fn too_long_is_said_at_once() {
        assert_eq!(Stream::<8>::new().push(&[0xFF, 0xFF]), Err(TooLong));
        assert_eq!(Stream::<8>::new().push(&[0, 9]), Err(TooLong));
        assert_eq!(Stream::<8>::new().push(&[0, 0]), Ok(Some([].as_slice())));
    }
}
