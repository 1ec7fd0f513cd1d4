//! The one place where a message is written in clear before it is sealed, whole or in fragments.

use esp_engine::crypto::Cipher;

use super::LONGEST;
use crate::wire::NoSpace;
use crate::wire::code_point::PayloadType;
use crate::wire::encrypted::{Clear, Encrypted};
use crate::wire::header::{Header, Message};
use crate::wire::writer::Writer;

/// A message as it is before it is encrypted: header, then what will be inside the SK payload.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    octets: [u8; Self::ROOM],
    length: usize,
}

impl Draft {
    /// The longest message, and behind it what a fragment of it has around its text.
    const ROOM: usize = LONGEST + 128;

    pub(crate) const fn new() -> Self {
        Self { octets: [0; Self::ROOM], length: 0 }
    }

    /// Writes a message.
    pub(crate) fn write(
        &mut self,
        header: &Header,
        payloads: impl FnOnce(&mut Writer<'_>) -> Result<(), NoSpace>,
    ) -> Result<(), NoSpace> {
        let mut writer = self.begin(header)?;
        payloads(&mut writer)?;
        self.length = writer.finish()?.len();
        Ok(())
    }

    /// What is the same whatever the payloads are, in one place.
    fn begin(&mut self, header: &Header) -> Result<Writer<'_>, NoSpace> {
        self.length = 0;
        Writer::new(self.octets.get_mut(..LONGEST).ok_or(NoSpace)?, header)
    }

    /// Opens a message of ours that was sealed before, or a fragment of one behind those before it.
    pub(crate) fn reopen<C: Cipher>(&mut self, is_first: bool, datagram: &[u8], cipher: &C) -> Option<()> {
        let message = Message::parse(datagram).ok()?;
        let encrypted = Encrypted::find(&message).ok()??;
        if is_first {
            let header = Header { next_payload: encrypted.first, ..message.header }.octets(0);
            self.octets.first_chunk_mut().map(|start| *start = header)?;
            self.length = Header::LENGTH;
        }
        let end = self.length.checked_add(datagram.len())?;
        let room = self.octets.get_mut(self.length..end)?;
        room.copy_from_slice(datagram);
        let length = encrypted.open(room, cipher).ok()?.len();
        let start = self.length.checked_add(encrypted.text_at(cipher.algorithm()))?;
        self.octets.copy_within(start..start.checked_add(length)?, self.length);
        self.length = self.length.checked_add(length)?;
        Some(())
    }

    /// The message, as IKE_INTERMEDIATE authenticates it.
    pub(crate) fn clear(&self) -> Clear<'_> {
        let header = self.octets.first_chunk().unwrap_or(&[0; Header::LENGTH]);
        let (first, text) = self.text().unwrap_or((PayloadType::NONE, &[]));
        Clear::new(header, (first, 0), text)
    }

    /// Type of the first payload, and all payloads.
    pub(crate) fn text(&self) -> Option<(PayloadType, &[u8])> {
        let message = self.octets.get(..self.length)?;
        let header = Header::parse(message).ok()?;
        Some((header.next_payload, message.get(Header::LENGTH..)?))
    }
}
