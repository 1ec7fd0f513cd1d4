//! One ESP packet in place (RFC 4303 §3.3, §3.4): header, IV, padding and ICV around a payload that
//! already lies where it belongs, and the way back. The cipher's lengths come from its algorithm, so
//! the same path serves every transform behind [`Cipher`].

use core::ops::Range;

use crate::counters::DropReason;
use crate::crypto::{Associated, Cipher};
use crate::sa::Spi;
use crate::wire::esp;

/// The numbers that one packet is sealed or opened under.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Numbers {
    pub(crate) spi: Spi,
    /// All 64 bits.
    pub(crate) sequence: u64,
    pub(crate) extended: bool,
}

impl Numbers {
    fn associated(&self) -> Associated<'static> {
        Associated::Esp { spi: self.spi, sequence: self.sequence, extended: self.extended }
    }
}

/// Seals `packet`, an ESP packet that has `payload` octets of payload at its place and all else
/// still to be written. `None` when it has another length than that payload asks for.
pub(crate) fn seal<C: Cipher>(
    cipher: &C,
    numbers: Numbers,
    packet: &mut [u8],
    payload: usize,
    next_header: u8,
) -> Option<()> {
    let layout = esp::Layout::of_payload(cipher.algorithm(), payload);
    esp::Header::write(packet, numbers.spi, numbers.sequence)?;
    let (front, icv) = packet.split_at_mut_checked(layout.icv.start)?;
    let (front, text) = front.split_at_mut_checked(layout.text.start)?;
    let iv = front.get_mut(layout.iv)?;
    (icv.len() == layout.icv.len()).then_some(())?;
    esp::write_trailer(text, payload, next_header)?;
    cipher.seal(numbers.sequence, numbers.associated(), iv, text, icv);
    Some(())
}

/// What lay inside an authenticated packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Opened {
    /// Where the payload lies, counted from the SPI.
    pub(crate) payload: Range<usize>,
    pub(crate) next_header: u8,
}

/// Verifies and decrypts `packet` in place. Authentication alone is the error's business here, so
/// that the caller can move its window before it looks inside.
///
/// # Errors
/// [`DropReason::EspLength`] or [`DropReason::Forged`].
pub(crate) fn open<C: Cipher>(
    cipher: &C,
    numbers: Numbers,
    packet: &mut [u8],
) -> Result<Authentic, DropReason> {
    let layout = esp::Layout::of_length(cipher.algorithm(), packet.len()).ok_or(DropReason::EspLength)?;
    let parts = packet.split_at_mut_checked(layout.icv.start).and_then(|(front, icv)| {
        let (front, text) = front.split_at_mut_checked(layout.text.start)?;
        Some((front.get(layout.iv.clone())?, text, &*icv))
    });
    let (iv, text, icv) = parts.ok_or(DropReason::EspLength)?;
    cipher.open(numbers.associated(), iv, text, icv).map_err(|_| DropReason::Forged)?;
    Ok(Authentic { text: layout.text })
}

/// An authenticated packet, still with its trailer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Authentic {
    text: Range<usize>,
}

impl Authentic {
    /// Takes the trailer off.
    ///
    /// # Errors
    /// [`DropReason::BadPadding`].
    pub(crate) fn read(self, packet: &[u8]) -> Result<Opened, DropReason> {
        let start = self.text.start;
        let (payload, next_header) =
            packet.get(self.text).and_then(esp::read_trailer).ok_or(DropReason::BadPadding)?;
        Ok(Opened { payload: start..start + payload, next_header })
    }
}

#[cfg(test)]
#[cfg(feature = "software")]
mod tests {
    use super::*;
    use crate::crypto::software::SoftwareCipher;
    use crate::crypto::{Algorithm, RawKey};

    const LENGTH: usize = 8 + 8 + 12 + 16;

    fn cipher() -> SoftwareCipher {
        SoftwareCipher::new(&RawKey::new(Algorithm::Aes128Gcm16, &[3; 20]).unwrap()).unwrap()
    }

    fn numbers() -> Numbers {
        Numbers { spi: Spi::new(0x0102_0304).unwrap(), sequence: 0x5_0000_0006, extended: true }
    }

    fn sealed() -> [u8; LENGTH] {
        let mut packet = [0; LENGTH];
        packet[16..25].copy_from_slice(b"nine long");
        seal(&cipher(), numbers(), &mut packet, 9, 6).unwrap();
        packet
    }

    /// RFC 4303 §2 and RFC 4106 §3: SPI, low half of the number, then the counter as IV.
    #[test]
    fn packet_shows_spi_number_and_iv() {
        assert_eq!(sealed()[..16], [1, 2, 3, 4, 0, 0, 0, 6, 0, 0, 0, 5, 0, 0, 0, 6]);
    }

    #[test]
    fn payload_and_next_header_come_back() {
        let mut packet = sealed();
        let opened = open(&cipher(), numbers(), &mut packet).unwrap().read(&packet).unwrap();
        assert_eq!(opened, Opened { payload: 16..25, next_header: 6 });
        assert_eq!(packet[16..28], *b"nine long\x01\x01\x06");
    }

    /// RFC 4303 §2.2.1: the high half is authenticated although it is not sent.
    #[test]
    fn another_high_half_is_a_forgery() {
        let wrong = Numbers { sequence: 6, ..numbers() };
        assert_eq!(open(&cipher(), wrong, &mut sealed()), Err(DropReason::Forged));
    }

    #[test]
    fn place_of_another_length_is_refused() {
        for length in [0, LENGTH - 4, LENGTH + 4] {
            assert_eq!(seal(&cipher(), numbers(), &mut [0; LENGTH + 4][..length], 9, 6), None);
        }
        assert_eq!(open(&cipher(), numbers(), &mut sealed()[1..]), Err(DropReason::EspLength));
    }
}
