//! A [`Config`] as octets for flash or a file: magic, version, length, CRC-32, then postcard.
//!
//! The CRC finds torn writes and worn cells. It is no protection against someone who can write to
//! the memory, who could as well replace the firmware.

use super::{Config, MAX_KEYS, MAX_PEERS, MAX_PUBLIC_KEY};

/// The layout below; another one gets another number.
pub const VERSION: u16 = 10;
/// Octets before the postcard.
pub const HEADER: usize = 12;
/// Octets that always suffice.
pub const MAX_STORED: usize = 8_192 + MAX_PEERS * MAX_KEYS * MAX_PUBLIC_KEY;

const MAGIC: [u8; 4] = *b"BTNS";

/// Why stored octets are no configuration.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum LoadError {
    /// Nothing was ever stored here.
    Empty,
    /// Written by firmware with another layout.
    Version(u16),
    /// Fewer octets than the header says.
    Truncated,
    /// The CRC does not match: a torn write or a worn cell.
    Damaged,
    /// The CRC matches and the octets still make no sense.
    Unreadable,
}

/// The buffer is too short; [`MAX_STORED`] octets suffice.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct BufferTooShort;

impl Config {
    /// Writes this configuration to the beginning of `buffer` and returns what it wrote.
    ///
    /// # Errors
    /// [`BufferTooShort`].
    pub fn store<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], BufferTooShort> {
        let (header, body) = buffer.split_first_chunk_mut::<HEADER>().ok_or(BufferTooShort)?;
        let length = postcard::to_slice(self, body).map_err(|_| BufferTooShort)?.len();
        let body = body.get(..length).ok_or(BufferTooShort)?;
        let stated = u16::try_from(length).map_err(|_| BufferTooShort)?;
        let (magic, rest) = header.split_at_mut(4);
        magic.copy_from_slice(&MAGIC);
        for (field, value) in rest.chunks_exact_mut(2).zip([VERSION, stated]) {
            field.copy_from_slice(&value.to_be_bytes());
        }
        header[8..].copy_from_slice(&crc32(body).to_be_bytes());
        buffer.get(..HEADER + length).ok_or(BufferTooShort)
    }

    /// Reads what [`Config::store`] wrote; octets behind it are ignored.
    ///
    /// # Errors
    /// [`LoadError`]. The result still has to pass [`Config::check`].
    pub fn load(stored: &[u8]) -> Result<Self, LoadError> {
        let (header, rest) = stored.split_first_chunk::<HEADER>().ok_or(LoadError::Empty)?;
        let [m0, m1, m2, m3, v0, v1, l0, l1, crc @ ..] = *header;
        if [m0, m1, m2, m3] != MAGIC {
            return Err(LoadError::Empty);
        }
        let version = u16::from_be_bytes([v0, v1]);
        if version != VERSION {
            return Err(LoadError::Version(version));
        }
        let body = rest.get(..usize::from(u16::from_be_bytes([l0, l1]))).ok_or(LoadError::Truncated)?;
        if crc32(body) != u32::from_be_bytes(crc) {
            return Err(LoadError::Damaged);
        }
        postcard::from_bytes(body).map_err(|_| LoadError::Unreadable)
    }
}

/// CRC-32 of ISO 3309, bit by bit: what it protects is short, and seldom read.
pub(crate) fn crc32(octets: &[u8]) -> u32 {
    !octets.iter().fold(u32::MAX, |crc, octet| {
        (0..8).fold(crc ^ u32::from(*octet), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::check::tests::gateway;

    #[test]
    fn crc_has_the_standard_check_value() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn a_stored_configuration_comes_back_whole() {
        let mut buffer = [0xFF; MAX_STORED];
        let config = gateway();
        config.store(&mut buffer).unwrap();
        assert_eq!(Config::load(&buffer), Ok(config));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let mut buffer = [0; MAX_STORED];
        let length = gateway().store(&mut buffer).unwrap().len();
        for bit in 0..length * 8 {
            buffer[bit / 8] ^= 1 << (bit % 8);
            assert!(Config::load(&buffer).is_err(), "bit {bit}");
            buffer[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn each_kind_of_damage_has_its_name() {
        let mut buffer = [0; MAX_STORED];
        let length = gateway().store(&mut buffer).unwrap().len();
        assert_eq!(Config::load(&[]), Err(LoadError::Empty));
        assert_eq!(Config::load(&[0xFF; 64]), Err(LoadError::Empty));
        assert_eq!(Config::load(&buffer[..length - 1]), Err(LoadError::Truncated));
        buffer[length - 1] ^= 1;
        assert_eq!(Config::load(&buffer), Err(LoadError::Damaged));
        buffer[5] = 99;
        assert_eq!(Config::load(&buffer), Err(LoadError::Version(99)));
    }

    #[test]
    fn a_short_buffer_is_refused() {
        assert_eq!(gateway().store(&mut [0; 64]), Err(BufferTooShort));
        assert_eq!(gateway().store(&mut [0; 4]), Err(BufferTooShort));
    }
}
