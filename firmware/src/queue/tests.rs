use esp_engine::crypto::software::SoftwareCipher;
use esp_engine::selector::Ports;

use super::upward::{Backlog, BacklogFull};
use super::*;

fn spi(n: u32) -> Spi {
    Spi::new(0x8000_0000 | n).unwrap()
}

fn expired(n: u32) -> Notice {
    Notice::Sa(SaReport::SoftExpired(spi(n)))
}

fn unknown(n: u32) -> Notice {
    Notice::Sa(SaReport::UnknownSpi { spi: n, remote: "192.0.2.9".parse().unwrap(), port: None })
}

fn acquire(source: u16) -> Notice {
    let packet = Selectors {
        source: "192.0.2.1".parse().unwrap(),
        destination: "192.0.2.2".parse().unwrap(),
        protocol: 6,
        ports: Ports::Known { source, destination: 179 },
    };
    Notice::Acquire { policy: PolicyId(3), packet }
}

fn datagram(octet: u8) -> Report {
    let end: SocketAddr = "192.0.2.1:500".parse().unwrap();
    let path = Path { interface: 0, local: end, remote: end };
    Report::Datagram { path, datagram: Datagram::from_slice(&[octet]).unwrap() }
}

fn received(queues: &Queues<SoftwareCipher>) -> std::vec::Vec<Notice> {
    core::iter::from_fn(|| queues.up.try_receive().ok())
        .filter_map(|report| if let Report::Notice(notice) = report { Some(notice) } else { None })
        .collect()
}

/// The halves may run in executors of different priority.
#[test]
fn what_the_halves_share_may_cross_between_executors() {
    fn crosses<T: Send>() {}
    fn is_shared<T: Sync>() {}
    crosses::<Command<SoftwareCipher>>();
    crosses::<Report>();
    is_shared::<Queues<SoftwareCipher>>();
    is_shared::<crate::management::Management>();
    is_shared::<crate::side_by_side::Wakers>();
}

#[test]
fn datagrams_that_find_the_way_up_full_are_dropped_and_counted() {
    let queues = Queues::<SoftwareCipher>::new();
    let up = Upward::new(&queues);
    for n in 0..REPORTS as u8 + 3 {
        up.offer(datagram(n));
    }
    assert_eq!(up.overflow(), Overflow { datagrams: 3, notices: 0 });
    let Ok(Report::Datagram { datagram, .. }) = queues.up.try_receive() else { panic!() };
    assert_eq!(datagram, [0]);
}

#[test]
fn notices_wait_and_arrive_in_order_before_later_datagrams() {
    let queues = Queues::<SoftwareCipher>::new();
    let up = Upward::new(&queues);
    for n in 0..REPORTS as u8 {
        up.offer(datagram(n));
    }
    for n in 0..3 {
        up.notify(expired(n));
    }
    assert!(up.is_behind());
    for _ in 0..REPORTS {
        queues.up.try_receive().ok().unwrap();
    }
    up.offer(datagram(9));
    assert!(!up.is_behind());
    assert_eq!(received(&queues), [expired(0), expired(1), expired(2)]);
    assert_eq!(up.overflow(), Overflow::default());
}

#[test]
fn like_notices_merge_and_the_newest_address_wins() {
    let moved = |port| {
        let remote = SocketAddr::new("192.0.2.2".parse().unwrap(), port);
        Notice::Sa(SaReport::PeerMoved { spi: spi(1), remote })
    };
    let mut backlog = Backlog::new();
    for notice in [expired(1), acquire(1), moved(4500), expired(1), acquire(1), moved(61_000)] {
        backlog.push(notice).unwrap();
    }
    assert_eq!(backlog.0, [expired(1), acquire(1), moved(61_000)]);
}

#[test]
fn a_flood_from_strangers_leaves_room_for_news_of_sas() {
    let mut backlog = Backlog::new();
    for n in 0..BACKLOG as u32 {
        let _ = backlog.push(unknown(256 + n));
    }
    assert_eq!(backlog.push(acquire(1)), Err(BacklogFull));
    for n in 0..BACKLOG as u32 / 2 {
        assert_eq!(backlog.push(expired(n)), Ok(()));
    }
    assert_eq!(backlog.push(expired(999)), Err(BacklogFull));
}

#[test]
fn notices_beyond_the_backlog_are_counted() {
    let queues = Queues::<SoftwareCipher>::new();
    let up = Upward::new(&queues);
    for n in 0..(REPORTS + BACKLOG) as u32 + 2 {
        up.notify(expired(n));
    }
    assert_eq!(up.overflow(), Overflow { datagrams: 0, notices: 2 });
}
