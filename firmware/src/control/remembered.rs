//! What key management remembers of peers, in storage: read at the start, written before the SA that taught it
//! carries anything, and changed by the operator's word.

use core::fmt::Write;
use core::net::IpAddr;

use esp_engine::spd::Level;
use esp_engine::time::Instant;
use heapless::{String, Vec};
use ike_core::config::MAX_IDENTITY;
use ike_core::crypto::Crypto;
use ike_core::pad::{Identity, OwnedIdentity};
use ike_core::remembered::Remembered;
use ike_core::wire::spki;
use rand_core::TryCryptoRng;
use serde::{Deserialize, Serialize};

use super::Control;
use crate::clock;
use crate::config::{LevelWords, MAX_PEERS, MAX_PUBLIC_KEY};
use crate::management::{RememberedPeer, Response, Shown, Words};
use crate::report::{Event, Sink};
use crate::storage::{Key, Storage, StorageError, Value};

/// Peers that are remembered: each that the configuration names, and as many strangers.
pub const MAX_REMEMBERED: usize = 2 * MAX_PEERS;

/// [`Remembered`] as it is stored.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Stored {
    /// ID type and value (RFC 7296 §3.5).
    kind: u8,
    identity: Vec<u8, MAX_IDENTITY>,
    address: IpAddr,
    #[serde(with = "LevelWords")]
    level: Level,
    fingerprint: Option<[u8; 32]>,
    /// A DER SubjectPublicKeyInfo, or nothing.
    key: Vec<u8, MAX_PUBLIC_KEY>,
}

impl Value for Stored {
    const VERSION: u8 = 1;
}

impl Stored {
    fn new(known: &Remembered) -> Self {
        Self {
            kind: known.of.kind(),
            identity: known.of.data().iter().copied().collect(),
            address: known.address,
            level: known.level,
            fingerprint: known.fingerprint,
            key: known.key.as_ref().map(spki::encode).into_iter().flatten().collect(),
        }
    }

    fn read(&self) -> Option<Remembered> {
        Some(Remembered {
            of: Identity::from_wire(self.kind, &self.identity).to_owned()?,
            address: self.address,
            level: self.level,
            fingerprint: self.fingerprint,
            key: if self.key.is_empty() { None } else { Some(spki::parse(&self.key).ok()?) },
        })
    }
}

impl<C: Crypto, R: TryCryptoRng, S: Sink, M: Storage> Control<'_, C, R, S, M> {
    /// Has key management know what it knew when the device stopped. Whatever cannot be read may have been the key
    /// of any stranger, so none is taken then that is not known.
    pub(super) async fn recall_all(&mut self) {
        if !self.storage.remembers() {
            return self.endpoint.admit_no_strangers();
        }
        for number in 0..u8::try_from(MAX_REMEMBERED).unwrap_or(u8::MAX) {
            let loaded = self.storage.load::<Stored>(Key::Peer(number)).await;
            let known = loaded
                .and_then(|stored| stored.map(|s| s.read().ok_or(StorageError::Unreadable)).transpose());
            match known {
                Ok(None) => {}
                Ok(Some(known)) => {
                    self.endpoint.recall(number, known);
                }
                Err(reason) => {
                    self.sink.report(clock::now(), &Event::NotRecalled(reason));
                    self.endpoint.admit_no_strangers();
                }
            }
        }
    }

    /// Keeps what is new in this place. A stranger that cannot be kept is none that was seen before: it is given up
    /// with its SA.
    pub(super) async fn keep(&mut self, number: u8) {
        let Some(known) = self.known(number) else { return };
        let stored = Stored::new(&known);
        let key = Key::Peer(number);
        let now = clock::now();
        match self.storage.store(key, &stored).await {
            Ok(()) => self.sink.report(now, &Event::Remembered(known)),
            Err(StorageError::Absent) => {}
            Err(reason) => {
                self.sink.report(now, &Event::NotKept(known.of.clone(), reason));
                let before = self.storage.load::<Stored>(key).await;
                let is_kept = before.is_ok_and(|before| {
                    before.is_some_and(|before| before.fingerprint == stored.fingerprint)
                });
                if known.level < Level::Shared && !is_kept {
                    self.is_unkept = true;
                    self.endpoint.forget_peer(now, &known.of.view());
                }
            }
        }
    }

    fn known(&self, number: u8) -> Option<Remembered> {
        self.endpoint.remembered().find(|(other, _)| *other == number).map(|(_, known)| known.clone())
    }

    pub(super) fn all_remembered(&self) -> Response {
        let shown = self.endpoint.remembered().map(|(_, known)| RememberedPeer {
            of: words(&known.of),
            address: known.address,
            level: Shown(known.level),
            fingerprint: known.fingerprint.map(|sum| hex(&sum)),
        });
        Response::Remembered(shown.take(MAX_REMEMBERED).collect())
    }

    /// Whoever is shown as `of` is forgotten.
    pub(super) async fn forget(&mut self, now: Instant, of: &Words) -> Response {
        let Some((number, known)) = self.find(of) else { return Response::NoSuchPeer };
        if let Err(reason) = self.storage.remove(Key::Peer(number)).await {
            return Response::Refused(Words::try_from(reason.words()).unwrap_or_default());
        }
        self.endpoint.forget_peer(now, &known.of.view());
        self.unplaced = None;
        Response::Done
    }

    /// Whoever is shown as `of` has a key with this SHA-256 from now on.
    pub(super) async fn accept(&mut self, now: Instant, of: &Words, fingerprint: [u8; 32]) -> Response {
        let Some((number, known)) = self.find(of) else { return Response::NoSuchPeer };
        let accepted = Remembered { fingerprint: Some(fingerprint), key: None, ..known.clone() };
        if known.level >= Level::Shared {
            let words = "it is no stranger: whoever vouches for it says which key it has";
            return Response::Refused(Words::try_from(words).unwrap_or_default());
        }
        if let Err(reason) = self.storage.store(Key::Peer(number), &Stored::new(&accepted)).await {
            return Response::Refused(Words::try_from(reason.words()).unwrap_or_default());
        }
        self.endpoint.accept(now, &known.of.view(), fingerprint);
        Response::Done
    }

    fn find(&self, of: &Words) -> Option<(u8, Remembered)> {
        let all = self.endpoint.remembered();
        let mut meant = all.filter(|(_, known)| words(&known.of).eq_ignore_ascii_case(of));
        meant.next().map(|(number, known)| (number, known.clone()))
    }
}

pub(super) fn words(of: &OwnedIdentity) -> Words {
    let mut words = Words::new();
    // What does not fit is cut off, as it is shown.
    let _ = write!(words, "{of}");
    words
}

fn hex(sum: &[u8; 32]) -> String<64> {
    let mut text = String::new();
    let _ = sum.iter().try_for_each(|octet| write!(text, "{octet:02x}"));
    text
}

#[cfg(test)]
mod tests {
    use ike_core::crypto::PublicKey;

    use super::*;

    fn known(key: Option<PublicKey>) -> Remembered {
        Remembered {
            of: Identity::Fqdn("far.example").to_owned().unwrap(),
            address: [192, 0, 2, 2].into(),
            level: Level::First,
            fingerprint: Some([7; 32]),
            key,
        }
    }

    #[test]
    fn what_is_stored_is_what_was_remembered() {
        for key in [None, Some(PublicKey::Ed25519([1; 32])), Some(PublicKey::EcdsaP384([2; 96]))] {
            let mut octets = [0; crate::storage::MAX_VALUE];
            let stored = postcard::to_slice(&Stored::new(&known(key)), &mut octets).unwrap();
            let read: Stored = postcard::from_bytes(stored).unwrap();
            assert_eq!(read.read(), Some(known(key)));
        }
    }

    /// What README says of its size in flash.
    #[test]
    fn stranger_with_an_ed25519_key_takes_a_hundred_octets_of_flash() {
        let mut octets = [0; crate::storage::MAX_VALUE];
        let stored = Stored::new(&known(Some(PublicKey::Ed25519([1; 32]))));
        let length = postcard::to_slice(&stored, &mut octets).unwrap().len();
        std::println!("{length} octets, {} in memory", size_of::<Remembered>());
        assert!(length < 110, "{length}");
    }

    #[test]
    fn longest_fits() {
        let mut longest = Stored::new(&known(None));
        longest.identity = [b'a'; MAX_IDENTITY].into_iter().collect();
        longest.address = std::net::Ipv6Addr::LOCALHOST.into();
        longest.key = [1; MAX_PUBLIC_KEY].into_iter().collect();
        assert!(postcard::to_slice(&longest, &mut [0; crate::storage::MAX_VALUE - 1]).is_ok());
    }
}
