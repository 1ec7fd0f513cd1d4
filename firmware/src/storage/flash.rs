//! Values in NOR flash, in two banks of which one counts: the valid one with the higher number.
//!
//! ```text
//! bank    number, check │ record │ record │ … │ erased        check: CRC-32
//! record  check │ key │ length │ postcard                     without anything behind the key: removed
//! ```
//! A value is appended, and the newest under its key counts. When the bank is full the other one is erased, gets
//! what still counts, and its number last. So nothing rests on a page whose erasure, or a record whose writing, the
//! power may have left half done: what a cut can spoil is the bank without number, or the last record.

use core::ops::Range;

use embedded_storage_async::nor_flash::NorFlash;

use super::{Key, MAX_VALUE, Storage, StorageError, Value};
use crate::config::stored::crc32;

/// Is checked with a bank's number, so that erased flash has none; another layout gets another.
const LAYOUT: [u8; 4] = *b"BTN1";
/// Octets of a record before its value, and of the head of a bank.
const HEAD: usize = 8;
/// The longest record, in whole words of any flash.
const RECORD: usize = (HEAD + MAX_VALUE).next_multiple_of(MAX_WORD);
/// Octets of the longest word of a flash.
const MAX_WORD: usize = 32;

/// Storage in a range of a NOR flash.
#[derive(Debug)]
pub struct Flash<F> {
    flash: F,
    /// Where the banks begin, and the octets of each.
    banks: [u32; 2],
    size: u32,
    active: Option<Bank>,
}

/// The bank that counts.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
struct Bank {
    start: u32,
    number: u32,
    /// Behind the last record.
    end: u32,
    /// Whether all behind that is erased; if not, nothing can be appended.
    is_clean: bool,
}

/// A record as it stands in flash, without its value.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
struct Record {
    at: u32,
    key: [u8; 2],
    length: u16,
}

impl<F: NorFlash> Flash<F> {
    /// What one read or write takes at least, and all of them begin at a multiple of.
    const WORD: u32 = {
        let longer = if F::WRITE_SIZE > F::READ_SIZE { F::WRITE_SIZE } else { F::READ_SIZE };
        if longer > HEAD { longer as u32 } else { HEAD as u32 }
    };

    /// Opens what is in `range` of `flash`, octets from its beginning; an even number of whole pages. Nothing is there
    /// where nothing was ever stored.
    ///
    /// # Errors
    /// [`StorageError::Failed`]: the range cannot be that, or the flash cannot be read.
    pub async fn open(flash: F, range: Range<u32>) -> Result<Self, StorageError> {
        let page = u32::try_from(F::ERASE_SIZE).unwrap_or(u32::MAX);
        let size = range.end.saturating_sub(range.start) / 2;
        let is_there = usize::try_from(range.end).is_ok_and(|end| end <= flash.capacity());
        let is_whole = range.start.is_multiple_of(page)
            && size.is_multiple_of(page)
            && size >= Self::WORD * 2
            && range.start + 2 * size == range.end;
        let words = [F::WRITE_SIZE, F::READ_SIZE];
        let are_words = words.iter().all(|word| word.is_power_of_two() && *word <= MAX_WORD);
        if !is_there || !is_whole || !are_words {
            return Err(StorageError::Failed);
        }
        let mut opened = Self { flash, banks: [range.start, range.start + size], size, active: None };
        for start in opened.banks {
            if let Some(number) = opened.number(start).await?
                && opened.active.is_none_or(|other| other.number < number)
            {
                opened.active = Some(opened.look(start, number).await?);
            }
        }
        Ok(opened)
    }

    /// The flash again.
    pub fn into_flash(self) -> F {
        self.flash
    }

    /// The number of the bank that begins here, if it is valid.
    async fn number(&mut self, start: u32) -> Result<Option<u32>, StorageError> {
        let found: [u8; HEAD] = self.read(start).await?;
        let [.., n0, n1, n2, n3] = found;
        let number = u32::from_le_bytes([n0, n1, n2, n3]);
        Ok((found == head(number)).then_some(number))
    }

    /// Where the records of a valid bank end, and whether it can take more.
    async fn look(&mut self, start: u32, number: u32) -> Result<Bank, StorageError> {
        let mut bank = Bank { start, number, end: start + Self::WORD, is_clean: true };
        let mut room = [0; RECORD];
        while let Some(record) = self.record(bank.end, start + self.size, &mut room).await? {
            bank.end = record.next(Self::WORD);
        }
        let mut at = bank.end;
        while at < start + self.size && bank.is_clean {
            bank.is_clean = self.read::<HEAD>(at).await? == [0xFF; HEAD];
            at += HEAD as u32;
        }
        Ok(bank)
    }

    async fn read<const N: usize>(&mut self, at: u32) -> Result<[u8; N], StorageError> {
        let mut octets = [0; N];
        self.flash.read(at, &mut octets).await.map_err(|_| StorageError::Failed)?;
        Ok(octets)
    }

    /// The record at `at`, all of which is read into `room`; `None` when there is no whole one before `limit`.
    async fn record(
        &mut self,
        at: u32,
        limit: u32,
        room: &mut [u8; RECORD],
    ) -> Result<Option<Record>, StorageError> {
        if at + Self::WORD > limit {
            return Ok(None);
        }
        let [c0, c1, c2, c3, k0, k1, l0, l1]: [u8; HEAD] = self.read(at).await?;
        let record = Record { at, key: [k0, k1], length: u16::from_le_bytes([l0, l1]) };
        let (whole, next) = (HEAD + usize::from(record.length), record.next(Self::WORD));
        let Some(octets) = room.get_mut(..(next - at) as usize).filter(|_| next <= limit) else {
            return Ok(None);
        };
        self.flash.read(at, octets).await.map_err(|_| StorageError::Failed)?;
        let checked = octets.get(4..whole).unwrap_or_default();
        Ok((crc32(checked) == u32::from_le_bytes([c0, c1, c2, c3])).then_some(record))
    }

    /// The newest record under `key`, all of which is read into `room`.
    async fn find(&mut self, key: [u8; 2], room: &mut [u8; RECORD]) -> Result<Option<Record>, StorageError> {
        let Some(bank) = self.active else { return Ok(None) };
        let (mut at, mut found) = (bank.start + Self::WORD, None);
        while let Some(record) = self.record(at, bank.end, room).await? {
            at = record.next(Self::WORD);
            found = if record.key == key { Some(record) } else { found };
        }
        match found {
            Some(Record { at, .. }) => self.record(at, bank.end, room).await,
            None => Ok(None),
        }
    }

    async fn put(&mut self, key: Key, value: &[u8]) -> Result<(), StorageError> {
        let mut room = [0xFF; RECORD];
        let key = key.octets();
        let octets = encode(key, value, &mut room, Self::WORD).ok_or(StorageError::TooLong)?;
        if let Some(bank) = &mut self.active
            && bank.is_clean
            && octets.len() <= (bank.start + self.size - bank.end) as usize
        {
            let written = self.flash.write(bank.end, octets).await.map_err(|_| StorageError::Failed);
            bank.end += if written.is_ok() { octets.len() as u32 } else { 0 };
            bank.is_clean = written.is_ok();
            return written;
        }
        self.change_banks(key, value).await
    }

    /// The other bank gets what still counts, and `value`; then it is the one.
    async fn change_banks(&mut self, key: [u8; 2], value: &[u8]) -> Result<(), StorageError> {
        let [first, second] = self.banks;
        let old = self.active;
        let start = if old.is_some_and(|old| old.start == first) { second } else { first };
        let number = old.map_or(1, |old| old.number.saturating_add(1));
        self.flash.erase(start, start + self.size).await.map_err(|_| StorageError::Failed)?;
        let mut new = Bank { start, number, end: start + Self::WORD, is_clean: true };
        let mut room = [0; RECORD];
        let mut at = old.map_or(0, |old| old.start + Self::WORD);
        while let Some(old) = old
            && let Some(record) = self.record(at, old.end, &mut room).await?
        {
            at = record.next(Self::WORD);
            let is_newest = self.find(record.key, &mut room).await? == Some(record);
            if is_newest && record.length > 0 && record.key != key {
                let octets = room.get(..(at - record.at) as usize).unwrap_or_default();
                self.append(&mut new, octets).await?;
            }
        }
        room = [0xFF; RECORD];
        let octets = encode(key, value, &mut room, Self::WORD).ok_or(StorageError::TooLong)?;
        self.append(&mut new, octets).await?;
        let mut word = [0xFF; MAX_WORD];
        word.iter_mut().zip(head(number)).for_each(|(to, from)| *to = from);
        let word = word.get(..Self::WORD as usize).ok_or(StorageError::Failed)?;
        self.flash.write(start, word).await.map_err(|_| StorageError::Failed)?;
        self.active = Some(new);
        Ok(())
    }

    async fn append(&mut self, bank: &mut Bank, octets: &[u8]) -> Result<(), StorageError> {
        if octets.len() > (bank.start + self.size - bank.end) as usize {
            return Err(StorageError::Full);
        }
        self.flash.write(bank.end, octets).await.map_err(|_| StorageError::Failed)?;
        bank.end += octets.len() as u32;
        Ok(())
    }
}

impl Record {
    /// Where the next one begins.
    const fn next(self, word: u32) -> u32 {
        self.at + (HEAD as u32 + self.length as u32).next_multiple_of(word)
    }
}

/// What a bank with this number begins with.
fn head(number: u32) -> [u8; HEAD] {
    let number = u64::from(number) << 32 | u64::from(u32::from_le_bytes(LAYOUT));
    let check = crc32(&number.to_le_bytes());
    (number & !u64::from(u32::MAX) | u64::from(check)).to_le_bytes()
}

/// A record in whole words, which `room` shows as erased where nothing is written.
fn encode<'r>(key: [u8; 2], value: &[u8], room: &'r mut [u8; RECORD], word: u32) -> Option<&'r [u8]> {
    let whole = HEAD + value.len();
    let fields = key.into_iter().chain(u16::try_from(value.len()).ok()?.to_le_bytes());
    let fields = fields.chain(value.iter().copied());
    room.get_mut(4..whole)?.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
    let check = crc32(room.get(4..whole)?);
    room.first_chunk_mut::<4>()?.copy_from_slice(&check.to_le_bytes());
    room.get(..whole.next_multiple_of(word as usize))
}

impl<F: NorFlash> Storage for Flash<F> {
    fn remembers(&self) -> bool {
        true
    }

    async fn load<T: Value>(&mut self, key: Key) -> Result<Option<T>, StorageError> {
        let mut room = [0; RECORD];
        let Some(record) = self.find(key.octets(), &mut room).await? else { return Ok(None) };
        let value = room.get(HEAD..HEAD + usize::from(record.length)).unwrap_or_default();
        match value.split_first() {
            None => Ok(None),
            Some((version, _)) if *version != T::VERSION => Err(StorageError::Version(*version)),
            Some((_, body)) => postcard::from_bytes(body).map(Some).map_err(|_| StorageError::Unreadable),
        }
    }

    async fn store<T: Value>(&mut self, key: Key, value: &T) -> Result<(), StorageError> {
        let mut octets = [T::VERSION; MAX_VALUE];
        let (_, body) = octets.split_at_mut(1);
        let length = postcard::to_slice(value, body).map_err(|_| StorageError::TooLong)?.len();
        self.put(key, octets.get(..=length).ok_or(StorageError::TooLong)?).await
    }

    async fn remove(&mut self, key: Key) -> Result<(), StorageError> {
        self.put(key, &[]).await
    }
}

impl Key {
    /// The key as it stands in flash.
    const fn octets(self) -> [u8; 2] {
        match self {
            Self::Peer(place) => [1, place],
            Self::Clock => [2, 0],
            Self::Anchors => [3, 0],
        }
    }
}

#[cfg(test)]
#[path = "flash_tests.rs"]
mod tests;
