//! Writes messages into a caller's buffer: lengths and Next Payload fields are filled in afterwards.
//!
//! A payload that does not fit is taken back whole, so that the message written so far stays good.
//! [`Writer`] makes messages in clear; `encrypted::EncryptedWriter` puts one inside an SK payload.

use super::NoSpace;
use super::code_point::PayloadType;
use super::header::Header;

/// Octets written so far, and the room for more.
#[derive(Debug)]
pub struct Octets<'b> {
    buffer: &'b mut [u8],
    length: usize,
}

impl<'b> Octets<'b> {
    /// Writes from the beginning of `buffer`.
    pub const fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, length: 0 }
    }

    /// How many octets are written.
    pub const fn length(&self) -> usize {
        self.length
    }

    /// Appends octets as they are.
    ///
    /// # Errors
    /// [`NoSpace`].
    pub fn put(&mut self, octets: &[u8]) -> Result<(), NoSpace> {
        let end = self.length.checked_add(octets.len()).ok_or(NoSpace)?;
        self.buffer.get_mut(self.length..end).ok_or(NoSpace)?.copy_from_slice(octets);
        self.length = end;
        Ok(())
    }

    /// Appends `count` zero octets.
    ///
    /// # Errors
    /// [`NoSpace`].
    pub fn zeros(&mut self, count: usize) -> Result<(), NoSpace> {
        let end = self.length.checked_add(count).ok_or(NoSpace)?;
        self.buffer.get_mut(self.length..end).ok_or(NoSpace)?.fill(0);
        self.length = end;
        Ok(())
    }

    /// Overwrites octets that are already there.
    pub(super) fn patch(&mut self, at: usize, octets: &[u8]) -> Result<(), NoSpace> {
        let written = self.buffer.get_mut(..self.length).ok_or(NoSpace)?;
        let end = at.checked_add(octets.len()).ok_or(NoSpace)?;
        written.get_mut(at..end).ok_or(NoSpace)?.copy_from_slice(octets);
        Ok(())
    }

    /// Writes how many octets there are since `start` into the 16-bit field at `at`.
    pub(super) fn patch_length(&mut self, start: usize, at: usize) -> Result<(), NoSpace> {
        let length = self.length.checked_sub(start).and_then(|n| u16::try_from(n).ok()).ok_or(NoSpace)?;
        self.patch(at, &length.to_be_bytes())
    }

    fn into_written(self) -> Result<&'b mut [u8], NoSpace> {
        self.buffer.get_mut(..self.length).ok_or(NoSpace)
    }
}

/// Writes one message.
#[derive(Debug)]
pub struct Writer<'b> {
    octets: Octets<'b>,
    /// Where the last Next Payload field lies.
    next_at: usize,
}

impl<'b> Writer<'b> {
    /// Begins a message with `header`, whose `next_payload` the payloads determine.
    ///
    /// # Errors
    /// [`NoSpace`].
    pub fn new(buffer: &'b mut [u8], header: &Header) -> Result<Self, NoSpace> {
        let mut octets = Octets::new(buffer);
        octets.put(&Header { next_payload: PayloadType::NONE, ..*header }.octets(0))?;
        Ok(Self { octets, next_at: NEXT_PAYLOAD_IN_HEADER })
    }

    /// Appends a payload whose body `write` writes; nothing is appended when that fails.
    ///
    /// # Errors
    /// [`NoSpace`].
    pub fn payload(
        &mut self,
        kind: PayloadType,
        write: impl FnOnce(&mut Octets<'b>) -> Result<(), NoSpace>,
    ) -> Result<(), NoSpace> {
        let (length, next_at) = (self.octets.length, self.next_at);
        let result = self.open_payload(kind).and_then(|start| {
            write(&mut self.octets)?;
            self.octets.patch_length(start, start.saturating_add(2))
        });
        if result.is_err() {
            self.octets.length = length;
            self.next_at = next_at;
            self.octets.patch(next_at, &[PayloadType::NONE.0])?;
        }
        result
    }

    /// Writes a payload's header with length zero and links it; returns where it starts.
    pub(super) fn open_payload(&mut self, kind: PayloadType) -> Result<usize, NoSpace> {
        let start = self.octets.length;
        self.octets.put(&[PayloadType::NONE.0, 0, 0, 0])?;
        self.octets.patch(self.next_at, &[kind.0])?;
        self.next_at = start;
        Ok(start)
    }

    /// Octets written so far, for what is not a payload of its own.
    pub(super) const fn octets_mut(&mut self) -> &mut Octets<'b> {
        &mut self.octets
    }

    /// Fills in the message's length and returns the message.
    ///
    /// # Errors
    /// [`NoSpace`] when the length does not fit its field.
    pub fn finish(mut self) -> Result<&'b mut [u8], NoSpace> {
        let length = u32::try_from(self.octets.length).map_err(|_| NoSpace)?;
        self.octets.patch(LENGTH_IN_HEADER, &length.to_be_bytes())?;
        self.octets.into_written()
    }
}

pub(super) const NEXT_PAYLOAD_IN_HEADER: usize = 16;
pub(super) const LENGTH_IN_HEADER: usize = 24;
