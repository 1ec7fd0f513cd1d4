//! The corpora of the fuzzers, replayed: each input in `host-tests/fuzz/corpus` opened a way through the code
//! that no other did, or once made it fail. `.ci/fuzz` finds more.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host_tests::fuzz::{TARGETS, dnssec, resolver, update};
use host_tests::pair::Pair;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// Nothing that was ever found fails again.
#[test]
fn corpora_are_replayed() {
    for (name, target) in TARGETS {
        let files: Vec<_> = fs::read_dir(corpus(name)).expect("a corpus").collect();
        println!("{name}: {} inputs", files.len());
        assert!(files.len() > 10, "the corpus of {name} is lost");
        for file in files {
            let path = file.expect("readable").path();
            let octets = fs::read(&path).expect("readable");
            if std::panic::catch_unwind(|| target(&octets)).is_err() {
                panic!("{name} fails with {}", path.display());
            }
        }
    }
}

/// A fuzzer of the validator begins with what is valid.
#[test]
fn seeds_of_the_validator_prove_something() {
    for (name, script) in DNSSEC_SEEDS {
        assert!(dnssec::proves(script), "{name}");
    }
    assert!(dnssec::proves(&[&[0, 8, 0][..], &dnssec::keys()].concat()));
}

/// A fuzzer of the resolver begins with a way from the root down to an answer, and with what may go wrong on it.
#[test]
fn seeds_of_the_resolver_reach_the_answer() {
    let mut wrong = Vec::new();
    for (name, script) in resolver_seeds() {
        let secure = resolver::secures(&script);
        // What is asked again a second later is known; a day later its signatures are over.
        let expected = match name {
            "peer" | "refused" | "truncated" | "not-understood" | "silent" | "broken" | "octets" => 3,
            "again" | "alias" => 1,
            _ => 0,
        };
        wrong.extend((secure != expected).then(|| format!("{name}: {secure}, not {expected}")));
    }
    assert_eq!(wrong, [""; 0]);
}

/// A fuzzer of the publisher begins with answers that are taken.
#[test]
fn seeds_of_the_publisher_publish() {
    for (name, script, times) in UPDATE_SEEDS {
        assert_eq!(update::publishes(script), times, "{name}");
    }
}

/// Scripts of the publisher, and how often the name is published by them; see the target.
const UPDATE_SEEDS: [(&str, &[u8], u32); 15] = [
    ("published", &[0, 0, 0, 1, 0, 0], 1),
    ("published-late", &[0, 0, 0, 0, 0, 150, 1, 0, 0], 1),
    ("published-twice", &[0, 0, 0, 1, 0, 0, 4, 9, 0, 0, 0, 1, 0, 0], 2),
    ("answered-twice", &[0, 0, 0, 1, 0, 0, 1, 0, 0], 1),
    ("refused", &[0, 0, 0, 1, 5, 0], 0),
    ("failed-then-published", &[0, 0, 0, 1, 2, 0, 0, 16, 0, 1, 0, 0], 1),
    ("other-clock", &[0, 0, 0, 1, 18, 100, 1, 0, 100], 1),
    ("other-clock-again", &[0, 0, 0, 1, 18, 100, 1, 18, 50], 0),
    ("skewed", &[0, 0, 0, 1, 0, 6], 0),
    ("truncated", &[0, 0, 0, 1, 128, 0, 1, 0, 0], 1),
    ("silence", &[0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 4, 0], 0),
    ("altered", &[0, 0, 0, 2, 0, 0, 3, 1, 0, 2, 0, 0, 40, 8, 0, 2, 0, 0, 0, 0, 3], 0),
    ("octets", &[0, 0, 0, 3, 12, 1, 2, 0xA8, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0),
    ("rolled-over", &[0, 0, 0, 1, 0, 0, 5, 0, 9, 0, 0, 0, 1, 0, 0, 0, 200, 0, 5, 1, 0, 0, 0, 1, 0, 0], 3),
    ("readdressed", &[0, 0, 0, 1, 0, 0, 5, 2, 77, 0, 0, 0, 1, 0, 0], 2),
];

/// Scripts of the resolver: which question, then what comes of each query; see the target.
fn resolver_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let (keys, parent) = (vec![2], vec![3, 1]);
    let key = [&[4, 35, 10, 0, 4][..], &[1; 32], &[1]].concat();
    let address = vec![4, 4, 192, 0, 2, 1, 1];
    let nothing = vec![6, 0x40, 1];
    let down = [&keys[..], &key, &parent, &parent, &keys, &parent, &keys].concat();
    let records = [&key[..], &address, &nothing].concat();
    let peer = [&[0, 0][..], &down, &records].concat();
    let after = |acts: &[u8]| [&[0, 0, 2][..], acts, &peer[3..]].concat();
    vec![
        ("peer", peer.clone()),
        ("again", [&peer[..], &[1, 0, 0], &down, &records].concat()),
        (
            "alias",
            [
                &[1, 0, 2, 5, 0, 1, 1][..],
                &parent,
                &parent,
                &keys,
                &parent,
                &keys,
                &[5, 0, 1, 1].repeat(3),
                &records,
            ]
            .concat(),
        ),
        ("unsigned-alias", vec![1, 0, 2, 5, 0, 0, 6, 0x20, 1, 5, 0, 0, 8, 4, 1, 2, 3, 4]),
        ("insecure", vec![0, 0, 2, 8, 4, 1, 2, 3, 4, 6, 0x20, 1, 8, 3, 0, 0, 0, 8, 4, 1, 2, 3, 4, 8, 0]),
        ("no-cut", [&[3, 0, 2, 8, 0, 6, 0, 1, 6, 0, 1][..], &nothing].concat()),
        ("false-claim", [&[0, 0, 2][..], &key[..37], &[0], &[6, 0, 1], &down].concat()),
        ("refused", after(&[7, 4, 5])),
        ("truncated", after(&[7, 6, 0])),
        ("not-understood", after(&[7, 4, 1])),
        ("silent", after(&[0, 0])),
        ("broken", after(&[1])),
        ("octets", after(&[9, 1, 1, 1, 20, 0, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 1, 2, 3, 4, 0, 0, 2, 0, 1])),
        ("reverse", vec![0, 1, 2, 4, 3, 10, 0, 0, 2, 3, 2, 2]),
        ("other-type", [&[2, 2, 2][..], &[4, 20, 0, 0], &[0; 18], &[0]].concat()),
    ]
}

/// Writes the inputs that a fuzzer begins with: the datagrams of true exchanges, and scripts that play them.
#[test]
#[ignore = "writes into the corpora: cargo test -p host-tests --test fuzz_corpora -- --ignored"]
fn write_seeds() {
    let mut pair = Pair::standing();
    pair.a.endpoint.rekey(pair.now, host_tests::parties::PEER).expect("begins");
    pair.settle(Duration::from_secs(10));
    pair.a.endpoint.shutdown(pair.now);
    pair.settle(Duration::from_secs(10));
    for (number, (_, datagram)) in pair.datagrams.iter().enumerate() {
        write("wire", &format!("seed-{number}"), datagram);
    }
    for parties in 0..5 {
        for (name, acts) in ENDPOINT_SEEDS {
            write("endpoint", &format!("seed-{parties}-{name}"), &[&[parties], acts].concat());
        }
    }
    for parties in [250, 251] {
        for (name, acts) in HYBRID_SEEDS {
            write("endpoint", &format!("seed-{parties}-{name}"), &[&[parties], acts].concat());
        }
    }
    for (name, acts) in ENDPOINT_SEEDS.iter().chain(&STRANGERS_SEEDS) {
        write("endpoint", &format!("seed-252-{name}"), &[&[252], *acts].concat());
    }
    for (name, pieces) in REASSEMBLY_SEEDS {
        write("reassembly", &format!("seed-{name}"), &pieces.concat());
    }
    for (name, script) in DNSSEC_SEEDS {
        write("dnssec", &format!("seed-{name}"), script);
    }
    write("dnssec", "seed-keys", &[&[0, 8, 0][..], &dnssec::keys()].concat());
    for (name, script) in resolver_seeds() {
        write("resolver", &format!("seed-{name}"), &script);
    }
    for (name, script, _) in UPDATE_SEEDS {
        write("update", &format!("seed-{name}"), script);
    }
    for (name, pieces) in PROXY_SEEDS {
        write("proxy", &format!("seed-{name}"), &pieces.concat());
    }
}

fn write(target: &str, name: &str, octets: &[u8]) {
    fs::create_dir_all(corpus(target)).expect("a folder");
    fs::write(corpus(target).join(name), octets).expect("written");
}

/// Scripts of the endpoints: 13 is a call (end, what), 14 a report (end, which, what), 12 lets time pass.
const ENDPOINT_SEEDS: [(&str, &[u8]); 8] = [
    ("handshake", &[13, 0, 0, 0, 0, 0, 0]),
    ("rekey", &[13, 0, 0, 0, 0, 0, 0, 13, 0, 1, 0, 0, 0, 0]),
    ("rekey-both", &[13, 0, 0, 0, 0, 0, 0, 13, 0, 1, 13, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
    ("begin-both", &[13, 0, 0, 13, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ("close", &[13, 0, 0, 0, 0, 0, 0, 13, 1, 3, 0, 0]),
    ("expire", &[13, 0, 0, 0, 0, 0, 0, 14, 0, 0, 1, 0, 0, 12, 5]),
    ("lost", &[13, 0, 0, 3, 15, 0, 3, 15, 0, 0, 3, 15, 0, 0, 8, 0, 0, 8, 1, 2, 3]),
    ("altered", &[13, 0, 0, 7, 1, 2, 4, 1, 0, 0, 3, 1, 2, 3, 0, 7, 1, 0, 5, 0, 3, 4, 1, 2, 3, 4, 0, 0, 9, 1]),
];

/// Scripts of strangers whose keys are remembered: a packet asks (call 2) for what they have, the operator has one
/// forgotten (252) or given another key (253), and it comes again.
const STRANGERS_SEEDS: [(&str, &[u8]); 4] = [
    ("meet", &[13, 0, 2, 0, 1, 0, 0, 0, 0]),
    ("meet-both", &[13, 0, 2, 0, 1, 13, 1, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ("forget", &[13, 0, 2, 0, 1, 0, 0, 0, 0, 13, 1, 252, 0, 0, 13, 0, 2, 0, 1, 0, 0, 0, 0]),
    ("accept", &[13, 0, 2, 0, 1, 0, 0, 0, 0, 13, 1, 253, 7, 0, 0, 13, 0, 2, 0, 1, 0, 0, 0, 0]),
];

/// Scripts of endpoints with ML-KEM, whose handshake has up to twelve datagrams: true exchanges, with
/// fragments that are lost, altered (7) and come again (8), and with IKE_FOLLOWUP_KE.
const HYBRID_SEEDS: [(&str, &[u8]); 7] = [
    ("handshake", &[13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ("rekey", &[13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ("ike", &[13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13, 1, 250, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    (
        "both",
        &[
            13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13, 0, 1, 13, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            0, 0,
        ],
    ),
    (
        "forgotten",
        &[
            13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13, 0, 1, 0, 0, 3, 3, 3, 12, 4, 12, 4, 12, 4, 15,
            0, 0,
        ],
    ),
    ("lost", &[13, 0, 0, 0, 0, 3, 0, 3, 15, 0, 0, 15, 0, 0, 8, 0, 0, 8, 1, 2, 3]),
    (
        "altered",
        &[13, 0, 0, 0, 0, 7, 1, 0, 1, 3, 7, 0, 2, 1, 8, 4, 0, 1, 1, 2, 0, 0, 0, 0, 15, 0, 0, 0, 0, 0],
    ),
];

/// Scripts of reassembly: 4 is a fragment (kind, block, length, more).
const REASSEMBLY_SEEDS: [(&str, &[&[u8]]); 4] = [
    ("v4", &[&[4, 0, 0, 0, 2, 0, 1], &[4, 0, 0, 64, 2, 0, 1], &[4, 0, 0, 128, 0, 100, 0]]),
    ("v6", &[&[4, 0x41, 0, 64, 0, 99, 0], &[4, 0x41, 0, 0, 2, 0, 1]]),
    ("overlap", &[&[4, 2, 0, 0, 2, 0, 1], &[4, 2, 0, 32, 2, 0, 1], &[4, 2, 0, 64, 0, 8, 0]]),
    ("two", &[&[4, 0, 0, 0, 2, 0, 1], &[4, 4, 0, 0, 2, 0, 1], &[0, 255], &[4, 0, 0, 64, 0, 8, 0]]),
];

/// A client's question for the address of a name (client, transport, ID, flags, name, type, EDNS).
const ASK: &[u8] = &[2, 0, 0, 1, 0, 0, 0, 0];
/// A server's answer with one address of this last octet (flags, count, owner, kind, net, octet, type, TTL).
const ADDRESS: &[u8] = &[5, 0, 0, 1, 1, 0, 1, 7, 0, 1];
/// A server's answer without records.
const NOTHING: &[u8] = &[5, 0, 0, 0];
/// A server's answer that did not fit.
const CUT: &[u8] = &[5, 2, 0, 0];
/// The resolver's answer: secure, present, the owner's, one key, no wildcard, for 60 s.
const RECORD: &[u8] = &[6, 0, 0, 0, 1, 0, 60];

/// Scripts of the capturing resolver; the first three octets are its settings.
const PROXY_SEEDS: [(&str, &[&[u8]]); 11] = [
    ("no-key", &[&[2, 0, 0], ASK, ADDRESS, NOTHING]),
    ("key", &[&[2, 0, 0], ASK, ADDRESS, CUT, RECORD, &[7, 0]]),
    ("protected", &[&[2, 0, 0], ASK, ADDRESS, CUT, RECORD, &[7, 1], &[0, 255], &[0, 255]]),
    ("failed", &[&[2, 0, 0], ASK, ADDRESS, CUT, RECORD, &[7, 2]]),
    ("required", &[&[2, 1, 1], &[2, 0, 0, 1, 0, 1, 0, 0], ADDRESS, CUT, RECORD, &[7, 1]]),
    ("bogus", &[&[2, 0, 0], ASK, ADDRESS, CUT, &[6, 2, 0, 0, 1, 0, 60]]),
    ("silence", &[&[2, 0, 0], ASK, &[0, 50], &[0, 50], &[0, 50], &[0, 50], &[0, 50]]),
    ("alias", &[&[2, 0, 0], ASK, &[5, 0, 0, 2, 1, 1, 3, 0, 1, 0, 3, 0, 1, 7, 0, 1], NOTHING, CUT, RECORD]),
    ("hint", &[&[2, 0, 0], &[2, 0, 0, 1, 0, 0, 2, 0], &[5, 0, 0, 1, 1, 2, 9, 0, 1], CUT, RECORD]),
    ("full", &[&[2, 1, 1], ASK, ADDRESS, ASK, ADDRESS, &[2, 1, 0, 2, 0, 3, 0, 0], ADDRESS, ASK, ASK, ASK]),
    (
        "stream",
        &[&[1, 0, 0], &[2, 0, 1, 1, 0, 0, 1, 1, 16], ADDRESS, &[7, 0], &[1, 12, 0, 0, 1, 2, 3, 4, 5, 6]],
    ),
];

/// A name and a type that are judged, and records: 0 and 1 as they are (owner, type, length, data), 2 and 3 a
/// signature (owner, type, labels), 4 and 5 NSEC (owner, next, types), 6 and 7 NSEC3 (owner, next, offsets,
/// flags, iterations, types); odd ones in the authority section.
const DNSSEC_SEEDS: [(&str, &[u8]); 13] = [
    ("answer", &[1, 0, 1, 0, 1, 0, 4, 192, 0, 2, 1, 2, 1, 0, 2]),
    ("wildcard", &[2, 0, 1, 0, 2, 0, 4, 1, 2, 3, 4, 2, 2, 0, 2, 5, 1, 6, 1, 64, 0, 0]),
    ("no-data", &[1, 6, 1, 5, 1, 6, 1, 64, 0, 3]),
    ("no-name", &[3, 0, 1, 5, 1, 6, 1, 64, 0, 3]),
    ("non-terminal", &[2, 0, 1, 5, 1, 3, 1, 64, 0, 3]),
    ("insecure", &[1, 7, 1, 5, 1, 6, 1, 32, 0, 3]),
    (
        "secure",
        &[
            1, 7, 1, 0, 1, 7, 36, 0, 1, 8, 2, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17,
            18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 2, 1, 7, 2,
        ],
    ),
    ("nsec3-no-data", &[1, 0, 1, 7, 1, 6, 0, 0, 0, 1, 64, 0, 0]),
    (
        "nsec3-no-name",
        &[1, 0, 1, 7, 0, 6, 0, 0, 0, 1, 34, 0, 0, 7, 1, 1, 20, 0, 0, 1, 64, 0, 0, 7, 4, 4, 20, 0, 0, 0],
    ),
    ("nsec3-opt-out", &[1, 7, 1, 7, 0, 6, 0, 128, 5, 1, 34, 0, 0, 7, 1, 1, 20, 128, 5, 1, 64, 0, 0]),
    ("alias", &[1, 0, 1, 0, 1, 3, 3, 1, 98, 0, 2, 1, 3, 2]),
    ("redirection", &[2, 7, 1, 0, 1, 4, 3, 1, 98, 0, 2, 1, 4, 2]),
    ("exchanges", &[1, 5, 1, 0, 1, 5, 5, 0, 10, 1, 98, 0, 0, 1, 5, 5, 0, 5, 1, 65, 0, 2, 1, 5, 2]),
];
