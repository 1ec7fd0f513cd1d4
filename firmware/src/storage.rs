//! What a device remembers across restarts: a few small values, each under a [`Key`].
//!
//! Control owns the one [`Storage`] that its board hands to it, reads it at its start and writes it when something
//! has been learnt. [`flash::Flash`] keeps values in NOR flash, or in whatever a board makes look like it;
//! [`NoStorage`] is the board that has none, and says so. A write is finished when its future is: a power cut before
//! leaves the old value or the new one.

pub mod flash;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::MAX_PUBLIC_KEY;

/// Octets of the longest value, with its version.
pub const MAX_VALUE: usize = 224 + MAX_PUBLIC_KEY;

/// What a value is about. Keys are part of the layout in flash: numbers are never used again for something else.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Key {
    /// A peer's key, and how well it was once authenticated, in this place of the table.
    Peer(u8),
    /// A moment that has passed.
    Clock,
    /// What is known of the keys of DNS's root.
    Anchors,
}

/// Something that is kept. Its layout is postcard's.
pub trait Value: Serialize + DeserializeOwned {
    /// Another layout gets another number.
    const VERSION: u8;
}

/// Why a value is not stored, or not there to be read.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum StorageError {
    /// The board has no storage.
    Absent,
    /// No room, even after all that is out of date has been erased.
    Full,
    /// The value exceeds [`MAX_VALUE`].
    TooLong,
    /// Written by firmware with another layout.
    Version(u8),
    /// What was written makes no sense.
    Unreadable,
    /// The flash, or the file, says no.
    Failed,
}

impl StorageError {
    /// What happened, in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Absent => "the device has no storage",
            Self::Full => "the storage is full",
            Self::TooLong => "the value is too long",
            Self::Version(_) => "it was written by other firmware",
            Self::Unreadable => "what was written is damaged",
            Self::Failed => "the storage cannot be read or written",
        }
    }
}

/// Where values are kept.
pub trait Storage {
    /// Whether what is stored will be there after a restart.
    fn remembers(&self) -> bool;

    /// The value under `key`, if there is one.
    ///
    /// # Errors
    /// [`StorageError`]; whoever asked has to take it that there was one.
    fn load<T: Value>(&mut self, key: Key) -> impl Future<Output = Result<Option<T>, StorageError>>;

    /// Puts `value` under `key`, in place of another one.
    ///
    /// # Errors
    /// [`StorageError`]; the old value stands, or after [`StorageError::Failed`] either.
    fn store<T: Value>(&mut self, key: Key, value: &T) -> impl Future<Output = Result<(), StorageError>>;

    /// Leaves nothing under `key`.
    ///
    /// # Errors
    /// As [`Storage::store`].
    fn remove(&mut self, key: Key) -> impl Future<Output = Result<(), StorageError>>;
}

/// A board without storage: nothing is there, and nothing is taken.
#[derive(Copy, Clone, Debug, Default)]
pub struct NoStorage;

impl Storage for NoStorage {
    fn remembers(&self) -> bool {
        false
    }

    async fn load<T: Value>(&mut self, _key: Key) -> Result<Option<T>, StorageError> {
        Ok(None)
    }

    async fn store<T: Value>(&mut self, _key: Key, _value: &T) -> Result<(), StorageError> {
        Err(StorageError::Absent)
    }

    async fn remove(&mut self, _key: Key) -> Result<(), StorageError> {
        Ok(())
    }
}

/// A board that has storage only sometimes: a file that may not be there.
impl<S: Storage> Storage for Option<S> {
    fn remembers(&self) -> bool {
        self.as_ref().is_some_and(S::remembers)
    }

    async fn load<T: Value>(&mut self, key: Key) -> Result<Option<T>, StorageError> {
        match self {
            Some(storage) => storage.load(key).await,
            None => NoStorage.load(key).await,
        }
    }

    async fn store<T: Value>(&mut self, key: Key, value: &T) -> Result<(), StorageError> {
        match self {
            Some(storage) => storage.store(key, value).await,
            None => NoStorage.store(key, value).await,
        }
    }

    async fn remove(&mut self, key: Key) -> Result<(), StorageError> {
        match self {
            Some(storage) => storage.remove(key).await,
            None => NoStorage.remove(key).await,
        }
    }
}
