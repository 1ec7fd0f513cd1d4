//! Flash that loses its power: at each write and each erasure, once whole, once in part, and with whatever the cells
//! then show.

use std::vec;
use std::vec::Vec;

use embassy_futures::block_on;
use embedded_storage_async::nor_flash::{ErrorType, NorFlashError, NorFlashErrorKind, ReadNorFlash};
use serde::{Deserialize, Serialize};

use super::*;

const PAGE: usize = 256;
const PAGES: usize = 4;

/// A NOR flash: erasing sets bits, writing clears them, and at operation number `cut` the power fails.
#[derive(Clone)]
struct Mock {
    cells: Vec<u8>,
    operations: usize,
    cut: Option<(usize, Torn)>,
}

/// What the operation at which the power fails does to the cells.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Torn {
    Nothing,
    FirstHalf,
    SecondHalf,
    /// All but the ends.
    Middle,
    /// Every second octet.
    Mixed,
    All,
}

const TORN: [Torn; 6] =
    [Torn::Nothing, Torn::FirstHalf, Torn::SecondHalf, Torn::Middle, Torn::Mixed, Torn::All];

impl Torn {
    fn reaches(self, place: usize, length: usize) -> bool {
        match self {
            Self::Nothing => false,
            Self::FirstHalf => place < length / 2,
            Self::SecondHalf => place >= length / 2,
            Self::Middle => (16..length.saturating_sub(16)).contains(&place),
            Self::Mixed => place.is_multiple_of(2),
            Self::All => true,
        }
    }
}

#[derive(Debug)]
struct PowerCut;

impl NorFlashError for PowerCut {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl Mock {
    fn new() -> Self {
        Self { cells: vec![0xFF; PAGE * PAGES], operations: 0, cut: None }
    }

    fn change(&mut self, from: usize, to: usize, octet: impl Fn(usize, u8) -> u8) -> Result<(), PowerCut> {
        self.operations += 1;
        let torn = match self.cut {
            Some((cut, _)) if self.operations > cut => return Err(PowerCut),
            Some((cut, torn)) if self.operations == cut => torn,
            _ => Torn::All,
        };
        for (place, cell) in self.cells[from..to].iter_mut().enumerate() {
            if torn.reaches(place, to - from) {
                *cell = octet(place, *cell);
            }
        }
        if self.cut.is_some_and(|(cut, _)| cut == self.operations) { Err(PowerCut) } else { Ok(()) }
    }
}

impl ErrorType for Mock {
    type Error = PowerCut;
}

impl ReadNorFlash for Mock {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, octets: &mut [u8]) -> Result<(), PowerCut> {
        octets.copy_from_slice(&self.cells[offset as usize..][..octets.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.cells.len()
    }
}

impl NorFlash for Mock {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = PAGE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), PowerCut> {
        self.change(from as usize, to as usize, |_, _| 0xFF)
    }

    async fn write(&mut self, offset: u32, octets: &[u8]) -> Result<(), PowerCut> {
        assert!(offset.is_multiple_of(4) && octets.len().is_multiple_of(4));
        let from = offset as usize;
        self.change(from, from + octets.len(), |place, cell| cell & octets[place])
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Sum {
    octets: [u8; 32],
    times: u32,
}

impl Value for Sum {
    const VERSION: u8 = 1;
}

fn sum(times: u32) -> Sum {
    Sum { octets: [u8::try_from(times % 251).unwrap(); 32], times }
}

async fn open(mock: Mock) -> Flash<Mock> {
    Flash::open(mock, 0..u32::try_from(PAGE * PAGES).unwrap()).await.unwrap()
}

const KEYS: [Key; 3] = [Key::Peer(0), Key::Peer(1), Key::Clock];

/// Writes the keys in turn; what is under each of them before the write that failed, and the write.
async fn work(flash: &mut Flash<Mock>) -> ([Option<Sum>; 3], Option<(usize, Option<Sum>)>) {
    let mut stored = [const { None }; 3];
    for times in 0..60 {
        let place = times as usize % KEYS.len();
        // One value is removed now and then.
        let new = (times % 7 != 6).then(|| sum(times));
        let done = match &new {
            Some(new) => flash.store(KEYS[place], new).await,
            None => flash.remove(KEYS[place]).await,
        };
        if done.is_err() {
            return (stored, Some((place, new)));
        }
        stored[place] = new;
    }
    (stored, None)
}

#[test]
fn what_is_stored_is_there_after_a_restart() {
    block_on(async {
        let mut flash = open(Mock::new()).await;
        let (stored, failed) = work(&mut flash).await;
        assert_eq!(failed, None);
        let mut again = open(flash.into_flash()).await;
        assert!(again.remembers());
        for (key, value) in KEYS.into_iter().zip(stored) {
            assert_eq!(again.load(key).await, Ok(value));
        }
        assert_eq!(again.load::<Sum>(Key::Anchors).await, Ok(None));
    });
}

/// After a power cut at any operation each value is the old one or the new one, and the next can be stored.
#[test]
fn power_cut_leaves_the_old_value_or_the_new_one() {
    block_on(async {
        let mut whole = open(Mock::new()).await;
        assert_eq!(work(&mut whole).await.1, None);
        let operations = whole.into_flash().operations;
        assert!(operations > 70, "the pages are erased several times: {operations}");
        for cut in 1..=operations {
            for torn in TORN {
                let mut flash = open(Mock { cut: Some((cut, torn)), ..Mock::new() }).await;
                let (stored, failed) = work(&mut flash).await;
                let (at, new) = failed.expect("the power failed");
                let mut again = open(Mock { cut: None, ..flash.into_flash() }).await;
                for (place, (key, old)) in KEYS.into_iter().zip(stored).enumerate() {
                    let found = again
                        .load::<Sum>(key)
                        .await
                        .unwrap_or_else(|error| panic!("{cut} {torn:?}: {error:?}"));
                    let is_new = place == at && found == new;
                    assert!(found == old || is_new, "{cut} {torn:?}: {key:?} is {found:?}, was {old:?}");
                }
                assert_eq!(again.store(KEYS[0], &sum(99)).await, Ok(()), "{cut} {torn:?}");
                assert_eq!(again.load(KEYS[0]).await, Ok(Some(sum(99))), "{cut} {torn:?}");
            }
        }
    });
}

/// A full flash refuses a new value and keeps the old ones.
#[test]
fn full_flash_says_so_and_forgets_nothing() {
    block_on(async {
        let mut flash = open(Mock::new()).await;
        let mut count = 0;
        let error = loop {
            match flash.store(Key::Peer(count), &sum(count.into())).await {
                Ok(()) => count += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error, StorageError::Full);
        assert!(count > 5);
        for place in 0..count {
            assert_eq!(flash.load(Key::Peer(place)).await, Ok(Some(sum(place.into()))), "{place}");
        }
    });
}

#[derive(Debug, Serialize, Deserialize)]
struct Later(u8);

impl Value for Later {
    const VERSION: u8 = 2;
}

/// A value of other firmware is none that may be overlooked.
#[test]
fn each_kind_of_unreadable_value_has_its_name() {
    block_on(async {
        let mut flash = open(Mock::new()).await;
        flash.store(Key::Clock, &sum(1)).await.unwrap();
        assert_eq!(flash.load::<Later>(Key::Clock).await.unwrap_err(), StorageError::Version(1));
        flash.put(Key::Clock, &[Sum::VERSION, 0]).await.unwrap();
        assert_eq!(flash.load::<Sum>(Key::Clock).await, Err(StorageError::Unreadable));
    });
}

#[test]
fn range_that_cannot_be_is_refused() {
    let page = u32::try_from(PAGE).unwrap();
    for range in [0..page, 1..2 * page, 0..2 * page + 1, 0..6 * page, page..0] {
        let opened = block_on(Flash::open(Mock::new(), range.clone()));
        assert_eq!(opened.err(), Some(StorageError::Failed), "{range:?}");
    }
}

#[test]
fn board_without_storage_takes_nothing() {
    block_on(async {
        let mut none = None::<Flash<Mock>>;
        assert!(!none.remembers());
        assert_eq!(none.store(Key::Clock, &sum(1)).await, Err(StorageError::Absent));
        assert_eq!(none.load::<Sum>(Key::Clock).await, Ok(None));
    });
}
