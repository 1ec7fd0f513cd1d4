//! Signatures as BIND 9.18 and its nsupdate made them, and answers that nobody may take for the server's.

extern crate std;

use std::vec::Vec;

use super::*;
use crate::crypto::software::Software;

/// An update of `b.example.net` by nsupdate, and the server's answer; the key is 00 … 1f.
const REQUEST: &str = "\
    d8e328000001000100020001076578616d706c65036e657400000600010162c00c000500fe000000000000c01d002d00\
    ff000000000000c01d002d00010000012c00230a0004dd64d7814be99f54650979e6f348066362d9fc4ad450466d677d\
    c80e2f327e130162076578616d706c65036e65740000fa00ff00000000003d0b686d61632d7368613235360000006b08\
    8821012c00200473cf91bc98be8e9722d79e9b4045e06e2d1dcb94e399ff6a96a1bdacbf928dd8e300000000";
const ANSWER: &str = "\
    d8e3a8000001000000000001076578616d706c65036e657400000600010162076578616d706c65036e65740000fa00ff\
    00000000003d0b686d61632d7368613235360000006b088821012c0020476386cf5e8ad74ee04675be647386453d9da0\
    21af4f7354d513810bd96b9372d8e300000000";
const TIME: UnixTime = UnixTime(0x6b08_8821);
const ID: u16 = 0xd8e3;
/// Octets of the answer in front of its TSIG record.
const START: usize = 29;

fn octets(hex: &str) -> Vec<u8> {
    let (pairs, []) = hex.as_bytes().as_chunks::<2>() else { panic!("{hex}") };
    pairs.iter().map(|p| u8::from_str_radix(core::str::from_utf8(p).unwrap(), 16).unwrap()).collect()
}

fn key() -> TsigKey {
    let secret: Vec<u8> = (0..32).collect();
    TsigKey::new("b.example.net".parse().unwrap(), &secret).unwrap()
}

/// A TSIG record's fields, to be spoiled.
struct Fields {
    name: &'static [u8],
    class: u16,
    ttl: u32,
    algorithm: &'static [u8],
    time: UnixTime,
    error: u16,
    other: Vec<u8>,
    /// Octets of the right MAC that are shown.
    shown: usize,
}

impl Default for Fields {
    fn default() -> Self {
        let (name, algorithm) = (b"\x01b\x07example\x03net\0", ALGORITHM);
        Self { name, class: 255, ttl: 0, algorithm, time: TIME, error: 0, other: Vec::new(), shown: 32 }
    }
}

impl Fields {
    /// An answer to [`REQUEST`] with this RCODE and record.
    fn answer(&self, rcode: u8) -> Vec<u8> {
        let mut message = octets(ANSWER)[..START].to_vec();
        message[3] |= rcode;
        let mut bare = message.clone();
        bare[11] = 0;
        let variables =
            Variables { time: time48(self.time), fudge: FUDGE, error: self.error, other: &self.other };
        let mac = compute(&Software, &key(), Some(&request().mac), [&bare, &[]], &variables);
        message.extend(self.record(mac.octets()));
        message
    }

    fn record(&self, mac: &[u8]) -> Vec<u8> {
        let rdata = [
            self.algorithm,
            &self.time.0.to_be_bytes()[2..],
            &FUDGE.to_be_bytes(),
            &(self.shown as u16).to_be_bytes(),
            &[mac, &[0; 8]].concat()[..self.shown],
            &ID.to_be_bytes(),
            &self.error.to_be_bytes(),
            &(self.other.len() as u16).to_be_bytes(),
            &self.other,
        ]
        .concat();
        let head = [&[0, 250], &self.class.to_be_bytes()[..], &self.ttl.to_be_bytes()].concat();
        [self.name, &head, &(rdata.len() as u16).to_be_bytes(), &rdata].concat()
    }
}

/// What nsupdate sent, as we remember it while we wait.
fn request() -> Signed {
    let octets = octets(REQUEST);
    let mac = PrfOutput::new(&octets[octets.len() - 38..octets.len() - 6]).unwrap();
    Signed { octets: heapless::Vec::from_slice(&octets).unwrap(), id: ID, mac }
}

fn judge(octets: &[u8]) -> Result<Answer, Discarded> {
    verify(&Software, &key(), &request(), octets, TIME)
}

#[test]
fn our_mac_of_nsupdates_message_is_nsupdates() {
    let (whole, request) = (octets(REQUEST), request());
    let (start, record) = find(Message::from_slice(&whole).unwrap(), Rtype::TSIG).unwrap().unwrap();
    assert_eq!(read(&record).unwrap().original_id(), ID);
    let (head, body) = without(&whole, start, ID).unwrap();
    let variables = Variables { time: time48(TIME), fudge: FUDGE, error: 0, other: &[] };
    assert_eq!(compute(&Software, &key(), None, [&head, body], &variables), request.mac);
}

#[test]
fn the_answer_of_bind_is_authentic() {
    assert_eq!(judge(&octets(ANSWER)), Ok(Answer { rcode: 0, truncated: false, bad_time: None }));
    assert_eq!(Fields::default().answer(0), octets(ANSWER), "the answers that follow are made like it");
    let refused = Fields::default().answer(5);
    assert_eq!(judge(&refused).map(|answer| answer.rcode), Ok(5));
}

/// RFC 8945 §5.4: an answer without TSIG is no answer, whatever it says.
#[test]
fn an_unsigned_answer_is_dropped() {
    for rcode in [0, 1, 5, 9] {
        let mut bare = octets(ANSWER)[..START].to_vec();
        (bare[3], bare[11]) = (bare[3] | rcode, 0);
        assert_eq!(judge(&bare), Err(Discarded::Unsigned { rcode }));
    }
}

/// RFC 8945 §5.3.2: errors of key and MAC come unsigned; anybody can write them.
#[test]
fn an_unsigned_error_is_a_hint_at_most() {
    for (error, hint) in [(16, super::super::Hint::OtherSecret), (17, super::super::Hint::UnknownKey)] {
        let told = judge(&Fields { error, shown: 0, ..Fields::default() }.answer(9)).unwrap_err();
        assert_eq!((told, told.hint()), (Discarded::UnsignedError { rcode: 9, error }, Some(hint)));
    }
}

/// RFC 8945 §5.2.2.1: a MAC of 1 to 15 octets, or of more than 32, is none; one that is cut at a lawful
/// length is judged before its length is (§5.2).
#[test]
fn a_mac_is_whole_or_nothing() {
    for shown in (1..16).chain(33..40) {
        let answer = Fields { shown, ..Fields::default() }.answer(0);
        assert_eq!(judge(&answer), Err(Discarded::Malformed), "{shown}");
    }
    for shown in 16..32 {
        let mut answer = Fields { shown, ..Fields::default() }.answer(0);
        assert_eq!(judge(&answer), Err(Discarded::ShortMac), "{shown}");
        let mac = answer.len() - 6 - shown;
        answer[mac] ^= 1;
        assert_eq!(judge(&answer), Err(Discarded::BadMac), "{shown}");
    }
}

/// RFC 8945 §5.1: the record is the last of the message and alone.
#[test]
fn a_signature_in_the_middle_is_none() {
    let mut behind = octets(ANSWER);
    behind[11] = 2;
    let record = [&[0, 0, 1, 0, 1], &[0; 4][..], &[0, 4, 192, 0, 2, 1]].concat();
    behind.extend(&record);
    assert_eq!(judge(&behind), Err(Discarded::Misplaced));

    let mut twice = octets(ANSWER);
    twice[11] = 2;
    twice.extend_from_within(START..);
    assert_eq!(judge(&twice), Err(Discarded::Misplaced));

    // In the answer section, and in the authority section.
    for count in [7, 9] {
        let mut early = octets(ANSWER);
        (early[count], early[11]) = (1, 0);
        assert_eq!(judge(&early), Err(Discarded::Misplaced));
    }
}

#[test]
fn what_is_not_the_answer_to_our_update_is_dropped() {
    let spoil = |at: usize, bits: u8| {
        let mut answer = octets(ANSWER);
        answer[at] ^= bits;
        judge(&answer)
    };
    assert_eq!(spoil(0, 1), Err(Discarded::WrongId));
    assert_eq!(spoil(2, 0x80), Err(Discarded::NotAnswer));
    assert_eq!(spoil(2, 0x08), Err(Discarded::NotAnswer));
    assert_eq!(spoil(3, 5), Err(Discarded::BadMac), "REFUSED is not for everybody to say");
    assert_eq!(spoil(14, 0x20), Err(Discarded::BadMac));
    let last = octets(ANSWER).len() - 1;
    assert_eq!(spoil(last - 6, 1), Err(Discarded::BadMac));
    assert_eq!(judge(&octets(ANSWER)[..last]), Err(Discarded::Malformed));
    assert_eq!(judge(&[octets(ANSWER), [0].to_vec()].concat()), Err(Discarded::Malformed));
    assert_eq!(judge(&octets(REQUEST)), Err(Discarded::NotAnswer), "our own update, sent back");
    let other = Signed { mac: [0; 32].into(), ..request() };
    let answer = verify(&Software, &key(), &other, &octets(ANSWER), TIME);
    assert_eq!(answer, Err(Discarded::BadMac), "an answer to another request");
}

/// RFC 8945 §4.2, §5.2.1.
#[test]
fn another_key_algorithm_class_or_ttl_is_not_ours() {
    let judge = |fields: Fields| judge(&fields.answer(0));
    let name = b"\x01c\x07example\x03net\0";
    assert_eq!(judge(Fields { name, ..Fields::default() }), Err(Discarded::OtherKey));
    let algorithm = b"\x0bhmac-sha512\0";
    assert_eq!(judge(Fields { algorithm, ..Fields::default() }), Err(Discarded::OtherKey));
    assert_eq!(judge(Fields { class: 1, ..Fields::default() }), Err(Discarded::Malformed));
    assert_eq!(judge(Fields { ttl: 1, ..Fields::default() }), Err(Discarded::Malformed));
    // In whatever letters (§4.3.3).
    let name = b"\x01B\x07EXAMPLE\x03net\0";
    assert!(judge(Fields { name, ..Fields::default() }).is_ok());
}

/// RFC 8945 §5.2.3: an answer of another time may be an old one; BADTIME is one of our own, wrong time.
#[test]
fn an_answer_is_of_now() {
    for (seconds, is_fresh) in [(-301, false), (-300, true), (300, true), (301, false)] {
        let time = UnixTime(TIME.0.saturating_add_signed(seconds));
        let judged = judge(&Fields { time, ..Fields::default() }.answer(0));
        assert_eq!(judged.is_ok(), is_fresh, "{seconds}");
        assert!(is_fresh || judged == Err(Discarded::Stale));
    }
    let server = UnixTime(TIME.0 + 86_400);
    let other = server.0.to_be_bytes()[2..].to_vec();
    let told = judge(&Fields { error: 18, other, ..Fields::default() }.answer(9)).unwrap();
    assert_eq!(told.bad_time, Some(server));
    let without = judge(&Fields { error: 18, ..Fields::default() }.answer(9));
    assert_eq!(without, Err(Discarded::Malformed));
}

#[test]
fn a_secret_has_16_to_64_octets() {
    let name = || Name::from_octets(heapless::Vec::from_array([0])).unwrap();
    assert_eq!(TsigKey::new(name(), &[1; 15]).unwrap_err(), BadSecret::Short);
    assert_eq!(TsigKey::new(name(), &[1; 65]).unwrap_err(), BadSecret::Long);
    assert!(TsigKey::new(name(), &[1; 64]).is_ok());
}
