extern crate std;

use core::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};

use super::*;

const NOW: UnixTime = UnixTime(1_795_000_000);
/// From 1900 to 1970, s.
const EPOCH: u64 = 2_208_988_800;

/// Counts, so that each query has other bits.
#[derive(Debug)]
struct Counting(u8);

impl TryRng for Counting {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("octets only")
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("octets only")
    }
    fn try_fill_bytes(&mut self, octets: &mut [u8]) -> Result<(), Infallible> {
        self.0 += 1;
        octets.fill(self.0);
        Ok(())
    }
}

impl TryCryptoRng for Counting {}

fn address(n: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, n], 123))
}

/// A client of so many servers that has not asked yet.
fn client(servers: u8) -> Sntp<Counting> {
    let servers: heapless::Vec<SocketAddr, MAX_SERVERS> = (1..=servers).map(address).collect();
    Sntp::new(Instant::ZERO, &servers, Duration::ZERO, Counting(0))
}

/// The query that leaves now: whom it asks, and its Transmit Timestamp.
fn asked(sntp: &mut Sntp<Counting>, now: Instant) -> (SocketAddr, [u8; 8]) {
    sntp.handle_timeout(now);
    match sntp.poll_output() {
        Output::Query { server, octets, .. } => (server, *octets.last_chunk().unwrap()),
        other => panic!("no query but {other:?}"),
    }
}

fn alarm(sntp: &mut Sntp<Counting>) -> Instant {
    match sntp.poll_output() {
        Output::Timeout(Some(at)) => at,
        other => panic!("no alarm but {other:?}"),
    }
}

/// A reply of a server of stratum 2 at this time.
fn reply(origin: [u8; 8], time: UnixTime) -> [u8; LENGTH] {
    let mut octets = [0; LENGTH];
    (octets[0], octets[1]) = (0x24, 2);
    octets[24..32].copy_from_slice(&origin);
    octets[40..44].copy_from_slice(&((time.0 + EPOCH) as u32).to_be_bytes());
    octets
}

/// RFC 4330 §4, §5: version 4, mode 3, and beside it random bits where the time would be.
#[test]
fn a_query_says_nothing_of_us() {
    let mut sntp = client(1);
    sntp.handle_timeout(Instant::ZERO);
    let Output::Query { server, transport: Transport::Udp { port }, octets } = sntp.poll_output() else {
        panic!("no query");
    };
    assert_eq!((server, octets[0], port >= 1024), (address(1), 0x23, true));
    assert_eq!((&octets[1..40], &octets[40..]), (&[0; 39][..], &[1; 8][..]));
}

/// RFC 4330 §5, checks 1 to 4: only who was asked, and saw the question, answers it; all else changes nothing.
#[test]
fn who_did_not_see_the_question_cannot_answer_it() {
    let (mut sntp, now) = (client(1), Instant::ZERO);
    assert_eq!(sntp.handle_datagram(now, NOW, address(1), &[0; LENGTH]), Err(Discarded::Unsolicited));
    let (server, origin) = asked(&mut sntp, now);
    let good = reply(origin, NOW);
    let mut question = good;
    question[0] = 0x23;
    let mut older = good;
    older[0] = 0x1C;
    for (from, octets, reason) in [
        (address(9), &good[..], Discarded::Unsolicited),
        (server, &good[..47], Discarded::NotReply),
        (server, &question, Discarded::NotReply),
        (server, &older, Discarded::NotReply),
        (server, &reply([0; 8], NOW), Discarded::WrongOrigin),
    ] {
        assert_eq!(sntp.handle_datagram(now, NOW, from, octets), Err(reason));
        assert_eq!(alarm(&mut sntp), now + PATIENCE);
    }
    assert_eq!(sntp.handle_datagram(now, NOW, server, &good), Ok(()));
    assert_eq!(sntp.poll_output(), Output::Time(NOW));
    assert_eq!(sntp.handle_datagram(now, NOW, server, &good), Err(Discarded::Unsolicited));
}

/// RFC 4330 §4, §5, checks 4 and 5: LI 3, a stratum above 15, no Transmit Timestamp, or a source that is a
/// second away is no time.
#[test]
fn a_server_without_time_has_none_to_give() {
    let spoilt: [fn(&mut [u8; LENGTH]); 6] = [
        |it| it[0] |= 0xC0,
        |it| it[1] = 16,
        |it| it[1] = 255,
        |it| it[40..].fill(0),
        |it| it[5] = 1,
        |it| it[8] = 0xFF,
    ];
    for spoil in spoilt {
        let (mut sntp, now) = (client(2), Instant::ZERO);
        let (server, origin) = asked(&mut sntp, now);
        let mut octets = reply(origin, NOW);
        spoil(&mut octets);
        assert_eq!(sntp.handle_datagram(now, NOW, server, &octets), Ok(()));
        assert_eq!(sntp.servers().next(), Some((server, Use::Useless(Useless::NotSynchronized))));
        assert_eq!(asked(&mut sntp, now).0, address(2));
    }
}

/// RFC 4330 §8: stratum 0, whatever the code, ends it with this server while there is another one; where there
/// is none the rests grow.
#[test]
fn a_kiss_of_death_is_obeyed() {
    let (mut sntp, now) = (client(2), Instant::ZERO);
    let kiss = |origin| {
        let mut octets = reply(origin, NOW);
        octets[1] = 0;
        octets[12..16].copy_from_slice(b"RATE");
        octets
    };
    let (server, origin) = asked(&mut sntp, now);
    sntp.handle_datagram(now, NOW, server, &kiss(origin)).unwrap();
    let mut at = now;
    for _ in 0..5 {
        assert_eq!(asked(&mut sntp, at).0, address(2));
        sntp.handle_timeout(at + PATIENCE);
        at = alarm(&mut sntp);
    }
    let (server, origin) = asked(&mut sntp, at);
    sntp.handle_datagram(at, NOW, server, &kiss(origin)).unwrap();
    let next = alarm(&mut sntp);
    assert!(next.since(at) >= SHORT_REST);
    assert_eq!(asked(&mut sntp, next).0, address(1));
}

/// RFC 4330 §10: one server after the other, then rests of 64 s, twice as long each time, a day at most.
#[test]
fn silence_makes_the_rests_longer() {
    let mut sntp = client(2);
    let mut now = Instant::ZERO;
    let mut rests = std::vec::Vec::new();
    for _ in 0..14 {
        assert_eq!(asked(&mut sntp, now).0, address(1));
        now = now + PATIENCE;
        assert_eq!(asked(&mut sntp, now).0, address(2));
        now = now + PATIENCE;
        sntp.handle_timeout(now);
        let next = alarm(&mut sntp);
        rests.push(next.since(now).as_secs());
        now = next;
    }
    assert_eq!(rests[..4], [64, 128, 256, 512]);
    assert_eq!(rests[11..], [86_400, 86_400, 86_400]);
    assert!(sntp.servers().all(|(_, was)| was == Use::Silent));
}

/// What is refuted is asked of the next server; what is proven is asked again a day later, of the same one.
#[test]
fn a_time_is_told_once_and_judged_by_another() {
    let (mut sntp, now) = (client(2), Instant::ZERO);
    sntp.judge(now, true);
    let (server, origin) = asked(&mut sntp, now);
    sntp.handle_datagram(now, NOW, server, &reply(origin, UnixTime(NOW.0 + 31_536_000))).unwrap();
    assert_eq!(sntp.poll_output(), Output::Time(UnixTime(NOW.0 + 31_536_000)));
    assert_eq!(alarm(&mut sntp), now + PROOF);
    sntp.judge(now, false);
    let (server, origin) = asked(&mut sntp, now);
    assert_eq!(server, address(2));
    sntp.handle_datagram(now, NOW, server, &reply(origin, NOW)).unwrap();
    assert_eq!(sntp.poll_output(), Output::Time(NOW));
    sntp.judge(now, true);
    assert_eq!(alarm(&mut sntp), now + LONG_REST);
    assert_eq!(asked(&mut sntp, now + LONG_REST).0, address(2));
    assert_eq!(
        sntp.servers().map(|(_, was)| was).collect::<std::vec::Vec<_>>(),
        [Use::Unproven, Use::Proven]
    );
}

/// Who asked for the proof and heard nothing is no worse off than with a refutation.
#[test]
fn a_proof_that_does_not_come_is_none() {
    let (mut sntp, now) = (client(1), Instant::ZERO);
    let (server, origin) = asked(&mut sntp, now);
    sntp.handle_datagram(now, NOW, server, &reply(origin, NOW)).unwrap();
    assert_eq!(sntp.poll_output(), Output::Time(NOW));
    sntp.handle_timeout(now + PROOF);
    assert_eq!(alarm(&mut sntp), now + PROOF + SHORT_REST);
}

/// RFC 4330 §3: 2036 is the first turn of the seconds; a moment before the bound is one before the bound, and
/// not one in 136 years.
#[test]
fn timestamps_go_round() {
    let seconds = |time: u64| (time + EPOCH) as u32;
    let turn = (1 << 32) - EPOCH;
    for time in [NOW.0 - 86_400, NOW.0, turn - 1, turn, turn + 1, NOW.0 + (1 << 31) - 1] {
        assert_eq!(packet::unix(seconds(time), NOW), UnixTime(time));
    }
    assert_eq!(packet::unix(0, UnixTime(0)), UnixTime(turn));
}

/// Nobody to ask, nothing to do.
#[test]
fn without_servers_nothing_happens() {
    let mut sntp = client(0);
    sntp.handle_timeout(Instant::from_millis(1_000));
    assert_eq!(sntp.poll_output(), Output::Timeout(None));
}
