//! What becomes of messages in the pool.

use super::*;

const fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

/// What is kept makes room for what is needed, the oldest first, and is then forgotten.
#[test]
fn kept_message_makes_room() {
    let mut storage = [const { Buffer::new() }; 2];
    let mut pool = Buffers::new(&mut storage);
    let first = pool.store(b"first").expect("free");
    let second = pool.store(b"second").expect("free");
    assert_eq!(pool.allocate(), None);
    pool.keep(second, at(1));
    pool.keep(first, at(2));
    assert_eq!(pool.message(second), Some(&b"second"[..]));
    let third = pool.store(b"third").expect("kept buffers give way");
    assert_eq!(pool.message(second), None);
    assert_eq!(pool.message(first), Some(&b"first"[..]));
    assert_eq!(pool.datagram(third, 0, true), Some(&b"\0\0\0\0third"[..]));
    assert_eq!(pool.datagram(third, 0, false), Some(&b"third"[..]));
}

/// A name of a buffer does not survive its release.
#[test]
fn released_buffer_has_no_name() {
    let mut storage = [const { Buffer::new() }; 1];
    let mut pool = Buffers::new(&mut storage);
    let id = pool.store(b"one").expect("free");
    pool.release(id);
    assert_eq!(pool.message(id), None);
    let again = pool.store(b"two").expect("free");
    assert_ne!(again, id);
    assert_eq!(pool.message(id), None);
}

/// A message longer than a buffer is refused and takes no room.
#[test]
fn long_message_is_refused() {
    let mut storage = [const { Buffer::new() }; 1];
    let mut pool = Buffers::new(&mut storage);
    assert_eq!(pool.store(&[0; MESSAGE + 1]), None);
    assert!(pool.store(&[0; MESSAGE]).is_some());
}

/// Strangers leave one buffer for those who are known.
#[test]
fn strangers_leave_room() {
    let mut storage = [const { Buffer::new() }; 3];
    let mut pool = Buffers::new(&mut storage);
    assert!(pool.spare(2));
    assert!(!pool.spare(3));
    let _ = pool.allocate();
    assert!(!pool.spare(2));
}

/// A message in fragments is kept, makes room and is released whole.
#[test]
fn fragments_share_their_fate() {
    let mut storage = [const { Buffer::new() }; 4];
    let mut pool = Buffers::new(&mut storage);
    let one = pool.store(b"one").expect("free");
    let long = pool.store(b"first").expect("free");
    for _ in 0..2 {
        let rest = pool.extend(long).expect("free");
        pool.set_length(rest, 4);
    }
    assert_eq!(pool.extend(long), None);
    assert_eq!((pool.count(long), pool.length(long)), (3, 13));
    assert_eq!(pool.datagram(long, 2, false).map(<[u8]>::len), Some(4));
    assert_eq!(pool.datagram(long, 3, false), None);
    pool.keep(long, at(1));
    pool.keep(one, at(2));
    assert!(pool.allocate().is_some());
    assert_eq!(pool.count(long), 0);
    assert!(pool.allocate().is_some() && pool.allocate().is_some());
    assert_eq!(pool.message(one), Some(&b"one"[..]));
    assert!(pool.allocate().is_some());
    assert_eq!(pool.message(one), None);
    assert_eq!(pool.allocate(), None);
}
