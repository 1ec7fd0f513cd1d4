//! A device that remembers strangers, over restarts: far takes anybody's key once, near knows far.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use buttons::cable::Cable;
use buttons::{executor, key, state, time};
use embassy_time::Duration;
use embassy_time::Timer;
use esp_engine::spd::Level;
use firmware::config::{Action, Authentication, Config, PrivateKey};
use firmware::management::{RememberedPeer, Request, Response};
use firmware::storage::{Key, Storage, StorageError, Value};

use crate::stage::*;

const IMPOSTOR: PrivateKey = PrivateKey::Ed25519([9; 32]);

/// Near, which calls with this key, and far, which knows nobody.
fn hosts_of_strangers(key: PrivateKey) -> [Config; 2] {
    let [mut near, mut far] = hosts(true);
    near.key = key;
    far.peers[0].authentication = Authentication::FirstUse { replace_after_h: 0 };
    (far.peers[0].identity, far.peers[0].address) = (None, None);
    let Action::Protect { minimum, .. } = &mut far.policies[0].action else { panic!() };
    *minimum = Level::First;
    [near, far]
}

/// One life of both devices, in which near begins with this key.
fn life<T>(
    key: PrivateKey,
    storage: impl Storage,
    main: impl AsyncFnOnce(&Cable, [&Surroundings; 2], Rc<RefCell<Option<usize>>>) -> T,
) -> T {
    time::make_virtual();
    let configs = hosts_of_strangers(key);
    let cable = Cable::new(1);
    let [near, far] = [Surroundings::new(), Surroundings::new()];
    let came_back = Rc::new(RefCell::new(None));
    let result = came_back.clone();
    let tasks: Vec<executor::Task> = vec![
        Box::pin(run_host(near.board(&configs[0]), plug(&cable, 1), async |stack| {
            let n = call(stack, "192.0.2.2".parse().unwrap()).await;
            result.replace(Some(n));
        })),
        Box::pin(run_host(far.board_with(&configs[1], storage), plug(&cable, 2), echo)),
    ];
    executor::run(main(&cable, [&near, &far], came_back), tasks).unwrap()
}

/// Far's file.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("buttons-strangers-{name}-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Self(path)
    }

    fn open(&self) -> impl Storage + use<> {
        state::open(Path::new(&self.0)).unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn levels(far: &Surroundings) -> Vec<Level> {
    far.status().await.child_sas.iter().map(|sa| sa.level.0).collect()
}

async fn remembered(far: &Surroundings) -> Vec<RememberedPeer> {
    match far.management.ask(Request::Remembered).await {
        Response::Remembered(peers) => peers.into_iter().collect(),
        other => panic!("{other:?}"),
    }
}

fn fingerprint(private: &PrivateKey) -> String {
    key::hex(&key::fingerprint(&key::public(private).unwrap()))
}

/// The first key is remembered over a restart, refuses an impostor, and is known when it comes again; then the
/// operator forgets it.
#[test]
fn restart_keeps_the_key_and_refuses_the_impostor() {
    let file = File::new("restart");
    life(NEAR, file.open(), async |cable, [_, far], came_back| {
        until(60, || came_back.borrow().is_some()).await;
        assert!(came_back.borrow().is_some(), "{:#?}", far.log.borrow());
        overhear(cable);
        assert_eq!(levels(far).await, [Level::First]);
        assert!(far.status().await.remembers);
        let [known] = &remembered(far).await[..] else { panic!() };
        assert_eq!((known.of.as_str(), known.level.0), ("near.example", Level::First));
        assert_eq!(known.fingerprint.as_deref(), Some(&*fingerprint(&NEAR)));
    });
    life(IMPOSTOR, file.open(), async |cable, [_, far], came_back| {
        Timer::after(Duration::from_secs(20)).await;
        assert_eq!((*came_back.borrow(), overhear(cable).esp), (None, 0));
        assert_eq!(levels(far).await, []);
        let why = far.why("near.example").await.unwrap();
        assert!(
            why.contains("not the key that is remembered") && why.ends_with(&fingerprint(&IMPOSTOR)),
            "{why}"
        );
    });
    life(NEAR, file.open(), async |_, [_, far], came_back| {
        until(60, || came_back.borrow().is_some()).await;
        assert_eq!(levels(far).await, [Level::Known]);
        let nobody = far.management.ask(Request::Forget("nobody".try_into().unwrap())).await;
        assert_eq!(nobody, Response::NoSuchPeer);
        let done = far.management.ask(Request::Forget("Near.Example".try_into().unwrap())).await;
        assert_eq!((done, remembered(far).await.len()), (Response::Done, 0));
    });
    life(IMPOSTOR, file.open(), async |_, [_, far], came_back| {
        until(60, || came_back.borrow().is_some()).await;
        assert_eq!(levels(far).await, [Level::First]);
    });
}

/// The operator may accept another key before its owner comes.
#[test]
fn operator_accepts_another_key() {
    let file = File::new("accept");
    life(NEAR, file.open(), async |_, [_, far], came_back| {
        until(60, || came_back.borrow().is_some()).await;
        let sum = key::fingerprint(&key::public(&IMPOSTOR).unwrap());
        let accept = Request::Accept { of: "near.example".try_into().unwrap(), fingerprint: sum };
        assert_eq!(far.management.ask(accept).await, Response::Done);
    });
    life(IMPOSTOR, file.open(), async |_, [_, far], came_back| {
        until(60, || came_back.borrow().is_some()).await;
        assert_eq!(levels(far).await, [Level::Known], "{:#?}", far.log.borrow());
    });
}

/// What happens when a stranger's key is to be written.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Storing {
    Fails,
    /// The power is cut before it is done.
    NeverEnds,
}

impl Storage for Storing {
    fn remembers(&self) -> bool {
        true
    }

    async fn load<T: Value>(&mut self, _: Key) -> Result<Option<T>, StorageError> {
        Ok(None)
    }

    async fn store<T: Value>(&mut self, _: Key, _: &T) -> Result<(), StorageError> {
        match self {
            Self::Fails => Err(StorageError::Failed),
            Self::NeverEnds => std::future::pending().await,
        }
    }

    async fn remove(&mut self, _: Key) -> Result<(), StorageError> {
        Ok(())
    }
}

/// A stranger whose key is not kept carries nothing: neither when storing fails nor while it lasts.
#[test]
fn stranger_that_is_not_kept_carries_nothing() {
    for storing in [Storing::Fails, Storing::NeverEnds] {
        life(NEAR, storing, async |cable, [_, far], came_back| {
            Timer::after(Duration::from_secs(20)).await;
            assert_eq!(*came_back.borrow(), None, "{storing:?}");
            let overheard = overhear(cable);
            assert_eq!(overheard.other, 0, "{overheard:?}");
            assert!(!far.has_seen("FirstInbound"), "{storing:?}: {:#?}", far.log.borrow());
            if storing == Storing::Fails {
                assert!(far.has_seen("NotKept"), "{:#?}", far.log.borrow());
                assert_eq!(levels(far).await, []);
                assert_eq!(remembered(far).await, []);
            } else {
                assert_eq!(overheard.esp, 0, "nobody has answered");
            }
        });
    }
}

/// Without storage no stranger is taken, and the status says that nothing is remembered.
#[test]
fn without_storage_no_stranger_is_taken() {
    life(NEAR, firmware::storage::NoStorage, async |_, [_, far], came_back| {
        Timer::after(Duration::from_secs(10)).await;
        assert_eq!(*came_back.borrow(), None);
        assert!(!far.status().await.remembers);
        let why = far.why("near.example").await;
        assert_eq!(why.as_deref(), Some("no room to remember another stranger"));
    });
}
