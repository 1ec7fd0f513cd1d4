extern crate std;

use std::vec;
use std::vec::Vec;

use core::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};

use super::*;

const NOW: UnixTime = UnixTime(1_795_000_000);
/// It is not earlier, and no clock runs.
const KNOWN: Known = Known { not_before: UnixTime(NOW.0 - DAY), clock: None };
const DAY: u64 = 86_400;
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
    assert_eq!(sntp.handle_datagram(now, KNOWN, address(1), &[0; LENGTH]), Err(Discarded::Unsolicited));
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
        assert_eq!(sntp.handle_datagram(now, KNOWN, from, octets), Err(reason));
        assert_eq!(alarm(&mut sntp), now + PATIENCE);
    }
    assert_eq!(sntp.handle_datagram(now, KNOWN, server, &good), Ok(()));
    assert_eq!(sntp.poll_output(), Output::Time(NOW));
    assert_eq!(sntp.handle_datagram(now, KNOWN, server, &good), Err(Discarded::Unsolicited));
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
        assert_eq!(sntp.handle_datagram(now, KNOWN, server, &octets), Ok(()));
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
    sntp.handle_datagram(now, KNOWN, server, &kiss(origin)).unwrap();
    let mut at = now;
    for _ in 0..5 {
        assert_eq!(asked(&mut sntp, at).0, address(2));
        sntp.handle_timeout(at + PATIENCE);
        at = alarm(&mut sntp);
    }
    let (server, origin) = asked(&mut sntp, at);
    sntp.handle_datagram(at, KNOWN, server, &kiss(origin)).unwrap();
    let next = alarm(&mut sntp);
    assert!(next.since(at) >= SHORT_REST);
    assert_eq!(asked(&mut sntp, next).0, address(1));
}

/// RFC 4330 §10: one server after the other, then rests of 64 s, twice as long each time, a day at most.
#[test]
fn silence_makes_the_rests_longer() {
    let mut sntp = client(2);
    let mut now = Instant::ZERO;
    let mut rests = Vec::new();
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

/// A round in which each server says so much later than [`NOW`], or nothing: what came of it.
fn round(sntp: &mut Sntp<Counting>, now: Instant, known: Known, says: &[Option<i64>]) -> Vec<Output> {
    let mut at = now;
    for says in says {
        let (server, origin) = asked(sntp, at);
        match says {
            Some(later) => {
                let time = UnixTime(NOW.0.saturating_add_signed(*later) + at.since(now).as_secs());
                sntp.handle_datagram(at, known, server, &reply(origin, time)).unwrap();
            }
            None => at = at + PATIENCE,
        }
    }
    sntp.handle_timeout(at);
    core::iter::from_fn(|| Some(sntp.poll_output()).filter(|it| !matches!(it, Output::Timeout(_)))).collect()
}

fn uses(sntp: &Sntp<Counting>) -> Vec<Use> {
    sntp.servers().map(|(_, was)| was).collect()
}

/// Who was heard and whose word counted.
fn taken(outputs: &[Output]) -> Option<Vec<bool>> {
    match outputs.first()? {
        Output::Disagreement(opinions) => Some(opinions.iter().map(|it| it.is_taken).collect()),
        _ => None,
    }
}

/// A time is told once, when all had their turn; what is proven is asked again a day later, and what is refuted
/// after a rest.
#[test]
fn a_time_is_told_once_and_judged_by_another() {
    let (mut sntp, now) = (client(2), Instant::ZERO);
    sntp.judge(now, true);
    assert_eq!(round(&mut sntp, now, KNOWN, &[Some(0), Some(0)]), [Output::Time(NOW)]);
    assert_eq!(alarm(&mut sntp), now + PROOF);
    sntp.judge(now, false);
    assert_eq!((alarm(&mut sntp), uses(&sntp)), (now + SHORT_REST, vec![Use::Unproven; 2]));
    let now = now + SHORT_REST;
    assert_eq!(round(&mut sntp, now, KNOWN, &[Some(0), Some(0)]), [Output::Time(NOW)]);
    sntp.judge(now, true);
    assert_eq!((alarm(&mut sntp), uses(&sntp)), (now + LONG_REST, vec![Use::Proven; 2]));
}

/// RFC 5905 §11.2.1: a time counts that more than half of those hold who have one; the others are named.
#[test]
fn most_of_them_are_heeded() {
    const YEAR: i64 = 31_536_000;
    for (says, heeded) in [
        (&[Some(0), Some(YEAR), Some(1)][..], Some(vec![true, false, true])),
        (&[Some(-YEAR), Some(0), Some(0)], Some(vec![false, true, true])),
        (&[None, Some(0), Some(0)], None),
        (&[Some(0), None, Some(5), Some(YEAR)], Some(vec![true, true, false])),
        (&[Some(0), Some(1), Some(2), Some(YEAR)], Some(vec![true, true, true, false])),
    ] {
        let mut sntp = client(says.len() as u8);
        let silent = says.iter().filter(|it| it.is_none()).count() as u64;
        let outputs = round(&mut sntp, Instant::ZERO, KNOWN, says);
        assert_eq!(taken(&outputs), heeded, "{says:?}");
        let Some(Output::Time(time)) = outputs.last() else { panic!("no time of {says:?}: {outputs:?}") };
        assert!(time.0.abs_diff(NOW.0 + silent * PATIENCE.as_secs()) <= 3, "{time:?} of {says:?}");
        sntp.judge(Instant::ZERO + PROOF, true);
        for (says, was) in says.iter().zip(uses(&sntp)) {
            let expected = match says {
                None => Use::Silent,
                Some(later) if later.abs() == YEAR => Use::Outvoted,
                Some(_) => Use::Proven,
            };
            assert_eq!(was, expected);
        }
    }
}

/// Where no time has more than half, none counts, whatever could be proven of it, and the rests grow.
#[test]
fn without_a_majority_nobody_is_heeded() {
    for says in [
        &[Some(0), Some(3_600)][..],
        &[Some(0), Some(0), Some(90), Some(90)],
        &[Some(0), Some(90), Some(180)],
    ] {
        let mut sntp = client(says.len() as u8);
        let outputs = round(&mut sntp, Instant::ZERO, KNOWN, says);
        assert_eq!((outputs.len(), taken(&outputs)), (1, Some(vec![false; says.len()])));
        assert_eq!(uses(&sntp), vec![Use::Contested; says.len()]);
        assert_eq!(alarm(&mut sntp), Instant::ZERO + SHORT_REST);
    }
}

/// Of two that disagree the one counts that goes with the clock, and none if neither does; against a majority the
/// clock has no voice.
#[test]
fn the_clock_that_runs_decides_between_two() {
    let clock = |behind: u64| Known { clock: Some(UnixTime(NOW.0 - behind)), ..KNOWN };
    let heeded = |known, says: &[Option<i64>]| {
        taken(&round(&mut client(says.len() as u8), Instant::ZERO, known, says)).unwrap()
    };
    assert_eq!(heeded(clock(17), &[Some(3_600), Some(0)]), [false, true]);
    assert_eq!(heeded(clock(300), &[Some(3_600), Some(0)]), [false, false]);
    assert_eq!(heeded(clock(0), &[Some(3_600), Some(0), Some(3_600)]), [true, false, true]);
}

/// What lies before what it certainly is is outvoted by whatever does not; alone it is for the proof to refuse.
#[test]
fn what_cannot_be_has_no_voice() {
    let early = -2 * DAY.cast_signed();
    let mut sntp = client(3);
    let outputs = round(&mut sntp, Instant::ZERO, KNOWN, &[Some(early), Some(0), Some(early)]);
    assert_eq!((taken(&outputs), outputs.last()), (Some(vec![false, true, false]), Some(&Output::Time(NOW))));
    let alone = round(&mut client(1), Instant::ZERO, KNOWN, &[Some(early)]);
    assert_eq!(alone, [Output::Time(UnixTime(NOW.0 - 2 * DAY))]);
}

/// The true time lies somewhere in the round trip: so much more servers may differ, and the middle is taken.
#[test]
fn a_long_way_leaves_more_room() {
    let ask = |round_trip: Duration| {
        let mut sntp = client(2);
        let (server, origin) = asked(&mut sntp, Instant::ZERO);
        let at = Instant::ZERO + round_trip;
        sntp.handle_datagram(at, KNOWN, server, &reply(origin, NOW)).unwrap();
        let (server, origin) = asked(&mut sntp, at);
        sntp.handle_datagram(at, KNOWN, server, &reply(origin, UnixTime(NOW.0 + 63))).unwrap();
        sntp.poll_output()
    };
    assert!(matches!(ask(Duration::ZERO), Output::Disagreement(_)));
    assert!(
        matches!(ask(Duration::from_secs(4)), Output::Time(time) if (33..35).contains(&(time.0 - NOW.0)))
    );
}

/// One that is there twice has one voice, whatever the port.
#[test]
fn nobody_agrees_with_himself() {
    let mut other_port = address(1);
    other_port.set_port(1123);
    let servers = [address(1), other_port, address(2), address(1)];
    let sntp = Sntp::new(Instant::ZERO, &servers, Duration::ZERO, Counting(0));
    assert_eq!(sntp.servers().map(|(at, _)| at).collect::<Vec<_>>(), [address(1), address(2)]);
}

/// Who asked for the proof and heard nothing is no worse off than with a refutation.
#[test]
fn a_proof_that_does_not_come_is_none() {
    let (mut sntp, now) = (client(1), Instant::ZERO);
    let (server, origin) = asked(&mut sntp, now);
    sntp.handle_datagram(now, KNOWN, server, &reply(origin, NOW)).unwrap();
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
