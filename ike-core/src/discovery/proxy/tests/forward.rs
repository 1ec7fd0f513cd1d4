//! What passes through unchanged, and what is answered here.

extern crate std;

use std::net::SocketAddr;
use std::vec::Vec;

use domain::base::Rtype;
use domain::base::iana::Rcode;

use super::super::settings::Settings;
use super::super::{Client, Discarded};
use super::bench::{Bench, Said, a, answer, client, cname, https, queries, rcode, replies, settings, v4};
use super::query;
use crate::discovery::output::Transport;

/// Octets with another ID.
fn under(octets: &[u8], id: u16) -> Vec<u8> {
    let mut octets = octets.to_vec();
    octets[..2].copy_from_slice(&id.to_be_bytes());
    octets
}

/// RFC 5452 §9.2: the server sees another ID; all else stays, EDNS, DO, CD and AD too, and so does the answer.
#[test]
fn question_and_answer_pass_unchanged() {
    let mut bench = Bench::new();
    let mut question = query("Plain.Test", Rtype::A, 77);
    question[2] = 0x01;
    question[3] = 0x30;
    question[11] = 1;
    question.extend([0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 12, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
    let asked = queries(&bench.send(client(2), &question).unwrap());
    assert_eq!(asked.len(), 1);
    assert_eq!(under(&asked[0].octets, 77), question);
    assert!(matches!(asked[0].transport, Transport::Udp { port } if port >= 1_024));
    let mut reply = query("Plain.Test", Rtype::A, 0);
    reply[2] = 0x81;
    reply[3] = 0xB0;
    let reply = under(
        &answer(&reply, &[a("plain.test", 86_400, [198, 51, 100, 7])]),
        u16::from_be_bytes([asked[0].octets[0], asked[0].octets[1]]),
    );
    let said = bench.answer_with(&asked[0], &reply).unwrap();
    assert_eq!(replies(&said), [under(&reply, 77)]);
    assert!(said.contains(&Said::Close(asked[0].socket)));
}

/// RFC 5452 §9.1: address, socket, ID, question; what does not match changes nothing.
#[test]
fn forged_answers_are_dropped() {
    let mut bench = Bench::new();
    let asked = queries(&bench.ask(2, "plain.test", Rtype::A)).remove(0);
    let good = answer(&asked.octets, &[a("plain.test", 60, [198, 51, 100, 7])]);
    let mut elsewhere = asked.clone();
    elsewhere.server = SocketAddr::new(v4([203, 0, 113, 1]), 53);
    assert_eq!(bench.answer_with(&elsewhere, &good), Err(Discarded::Unsolicited));
    let id = u16::from_be_bytes([good[0], good[1]]);
    assert_eq!(bench.answer_with(&asked, &under(&good, id ^ 1)), Err(Discarded::WrongId));
    assert_eq!(bench.answer_with(&asked, &asked.octets), Err(Discarded::NotAnswer));
    let other = under(&answer(&query("other.test", Rtype::A, 0), &[]), id);
    assert_eq!(bench.answer_with(&asked, &other), Err(Discarded::WrongQuestion));
    assert_eq!(bench.answer_with(&asked, &good[..11]), Err(Discarded::Malformed));
    assert_eq!(replies(&bench.answer_with(&asked, &good).unwrap()).len(), 1);
    assert_eq!(bench.answer_with(&asked, &good), Err(Discarded::Unsolicited), "once");
    assert_eq!(bench.proxy.counters().discarded(Discarded::WrongId), 1);
}

#[test]
fn another_server_is_asked_where_one_is_silent() {
    let mut bench = Bench::new();
    let first = queries(&bench.ask(2, "plain.test", Rtype::A)).remove(0);
    let second = queries(&bench.pass(800)).remove(0);
    assert_ne!((first.server, &first.octets), (second.server, &second.octets));
    assert_ne!(first.transport, second.transport, "another port");
    let late = answer(&first.octets, &[a("plain.test", 60, [198, 51, 100, 7])]);
    assert_eq!(bench.answer_with(&first, &late), Err(Discarded::Unsolicited));
    assert_eq!(replies(&bench.answer(&second, &[a("plain.test", 60, [198, 51, 100, 7])])).len(), 1);
    assert_eq!(queries(&bench.ask(2, "plain.test", Rtype::A))[0].server, second.server, "it answers");
}

#[test]
fn silence_of_all_is_an_answer_too() {
    let mut bench = Bench::new();
    bench.ask(2, "plain.test", Rtype::A);
    let said = bench.pass(4_000);
    assert_eq!(queries(&said).len(), 3);
    assert_eq!(replies(&said).iter().map(|reply| rcode(reply)).collect::<Vec<_>>(), [Rcode::SERVFAIL]);
    assert_eq!(bench.timeout(), None);
}

#[test]
fn a_question_that_comes_twice_is_asked_once() {
    let mut bench = Bench::new();
    let question = query("www.test", Rtype::A, 5);
    assert_eq!(queries(&bench.send(client(2), &question).unwrap()).len(), 2, "A and IPSECKEY");
    assert_eq!(bench.send(client(2), &question).unwrap(), []);
}

/// RFC 7766 §5: what does not fit is asked for by TCP, and goes on by TCP. Addresses in an answer that is cut
/// off are never passed on, for they would not be protected.
#[test]
fn answers_that_are_cut_off() {
    let mut bench = Bench::new();
    let asked = queries(&bench.ask(2, "www.test", Rtype::A)).remove(0);
    let mut cut = answer(&asked.octets, &[a("www.test", 60, [198, 51, 100, 7])]);
    cut[2] |= 2;
    let reply = replies(&bench.answer_with(&asked, &cut).unwrap()).remove(0);
    assert_eq!((reply[2] & 2, reply[7]), (2, 0));
    let stream = Client::Stream { remote: v4([10, 1, 0, 2]), connection: 1 };
    let asked = queries(&bench.send(stream, &query("www.test", Rtype::A, 9)).unwrap()).remove(0);
    assert_eq!(asked.transport, Transport::Tcp);
}

#[test]
fn a_long_answer_reaches_streams_only() {
    let mut bench = Bench::new();
    let text = ("plain.test", Rtype::TXT, 60, std::vec![0; 700]);
    let asked = queries(&bench.ask(2, "plain.test", Rtype::TXT)).remove(0);
    assert_eq!(replies(&bench.answer(&asked, core::slice::from_ref(&text)))[0][2] & 2, 2, "512 without EDNS");
    let stream = Client::Stream { remote: v4([10, 1, 0, 2]), connection: 1 };
    let asked = queries(&bench.send(stream, &query("plain.test", Rtype::TXT, 9)).unwrap()).remove(0);
    assert!(replies(&bench.answer(&asked, &[text]))[0].len() > 700);
}

#[test]
fn a_stream_that_ended_wants_no_answer() {
    let mut bench = Bench::new();
    let stream = Client::Stream { remote: v4([10, 1, 0, 2]), connection: 3 };
    let asked = queries(&bench.send(stream, &query("plain.test", Rtype::A, 9)).unwrap()).remove(0);
    bench.proxy.handle_closed(bench.instant(), 3);
    assert_eq!(bench.drain(), [Said::Close(asked.socket)]);
}

/// Nobody outside is answered: nothing that is sent here is amplified.
#[test]
fn only_attached_networks_are_served() {
    let mut bench = Bench::new();
    for outside in ["203.0.113.9:53", "10.2.0.1:53", "[2001:db8::9]:53"] {
        let stranger = Client::Datagram { remote: outside.parse().unwrap(), local: v4([10, 1, 0, 1]) };
        assert_eq!(bench.send(stranger, &query("www.test", Rtype::A, 1)), Err(Discarded::NotClient));
        assert_eq!(bench.drain(), []);
    }
}

#[test]
fn what_no_server_hears_of() {
    let mut bench = Bench::new();
    for (of, rtype, expected) in [
        ("www.test", Rtype::ANY, Rcode::REFUSED),
        ("www.test", Rtype::AXFR, Rcode::REFUSED),
        ("printer.local", Rtype::A, Rcode::NXDOMAIN),
        ("use-application-dns.net", Rtype::A, Rcode::NXDOMAIN),
        ("4.3.2.10.in-addr.arpa", Rtype::PTR, Rcode::NXDOMAIN),
        ("localhost", Rtype::A, Rcode::NOERROR),
    ] {
        let said = bench.ask(2, of, rtype);
        let [Said::Reply(to, reply)] = said.as_slice() else { panic!("{of} {rtype}: {said:?}") };
        assert_eq!((*to, rcode(reply)), (client(2), expected), "{of} {rtype}");
        assert_eq!(u16::from_be_bytes([reply[0], reply[1]]), bench.id());
    }
}

/// A page from outside must not reach inside by a name of its own.
#[test]
fn outside_names_do_not_point_inside() {
    let inside = [[10, 1, 0, 9], [192, 168, 0, 1], [127, 0, 0, 1], [169, 254, 169, 254], [0, 0, 0, 0]];
    for address in inside {
        let mut bench = Bench::new();
        for of in ["plain.test", "www.test"] {
            let asked = queries(&bench.ask(2, of, Rtype::A)).remove(0);
            let said = bench.answer(&asked, &[a(of, 60, address)]);
            assert_eq!(rcode(&replies(&said)[0]), Rcode::REFUSED, "{of} {address:?}");
        }
        let asked = queries(&bench.ask(2, "plain.test", Rtype::HTTPS)).remove(0);
        let said = bench.answer(&asked, &[https("plain.test", ".", address)]);
        assert_eq!(rcode(&replies(&said)[0]), Rcode::REFUSED, "hint {address:?}");
        let asked = queries(&bench.ask(2, "www.corp.test", Rtype::A)).remove(0);
        assert_eq!(
            replies(&bench.answer(&asked, &[a("www.corp.test", 60, address)])),
            [] as [Vec<u8>; 0],
            "held, not refused"
        );
        assert_eq!(bench.proxy.counters().rebinding, 3);
    }
}

/// RFC 1034 §3.6.2: an alias is followed to its end, and a loop has none.
#[test]
fn aliases_that_go_in_circles() {
    let mut bench = Bench::new();
    let asked = queries(&bench.ask(2, "www.test", Rtype::A)).remove(0);
    let records = [
        cname("www.test", 60, "b.test"),
        cname("b.test", 60, "www.test"),
        a("b.test", 60, [198, 51, 100, 7]),
    ];
    assert_eq!(rcode(&replies(&bench.answer(&asked, &records))[0]), Rcode::SERVFAIL);
}

#[test]
fn nothing_can_be_asked_without_servers() {
    let mut bench = Bench::with(Settings { servers: &[], ..settings() });
    assert_eq!(queries(&bench.ask(2, "www.test", Rtype::A)), []);
    let said = bench.pass(5_000);
    assert_eq!(rcode(&replies(&said)[0]), Rcode::SERVFAIL);
}
