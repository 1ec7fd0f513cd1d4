//! Traffic Selector payloads (RFC 7296 §3.13).

use esp_engine::selector::{AddressRange, PortRange, TrafficSelector};
use ike_core::wire::Malformed;
use ike_core::wire::code_point::PayloadType;
use ike_core::wire::header::Message;
use ike_core::wire::ts::{self, TsView};
use ike_core::wire::writer::Writer;

use crate::support::{REQUEST, hex};

const IPV4: &str = "07060010 00b300b3 c0000201 c0000201";
const IPV6: &str = "08000028 0000ffff 20010db8000000000000000000000000 20010db8ffffffffffffffffffffffff";

fn parse(body: &[u8]) -> Result<TsView<'_>, Malformed> {
    TsView::parse(PayloadType::TSI, body)
}

fn selectors(octets: &str) -> Result<Vec<TrafficSelector>, Malformed> {
    Ok(parse(&hex(octets))?.selectors().collect())
}

fn ipv4() -> TrafficSelector {
    TrafficSelector {
        protocol: 6,
        ports: PortRange::single(179),
        addresses: AddressRange::single([192, 0, 2, 1].into()),
    }
}

fn ipv6() -> TrafficSelector {
    TrafficSelector::all(AddressRange::prefix("2001:db8::".parse().unwrap(), 32).unwrap())
}

/// RFC 7296 §3.13.1: both families, with and without ports.
#[test]
fn ranges_of_both_families_are_read_and_written() {
    let octets = format!("02000000 {IPV4} {IPV6}");
    assert_eq!(selectors(&octets), Ok(vec![ipv4(), ipv6()]));
    let mut buffer = [0; 256];
    let mut writer = Writer::new(&mut buffer, &REQUEST).unwrap();
    ts::write(PayloadType::TSI, &[ipv4(), ipv6()], &mut writer).unwrap();
    assert_eq!(writer.finish().unwrap()[32..], hex(&octets));
}

/// RFC 7296 §3.13.1: OPAQUE is written 65535 to 0.
#[test]
fn opaque_ports_are_read_and_written() {
    let octets = "01000000 07060010 ffff0000 c0000201 c0000201";
    let selector = TrafficSelector { ports: PortRange::OPAQUE, ..ipv4() };
    assert_eq!(selectors(octets), Ok(vec![selector]));
    let mut buffer = [0; 128];
    let mut writer = Writer::new(&mut buffer, &REQUEST).unwrap();
    ts::write(PayloadType::TSR, &[selector], &mut writer).unwrap();
    let message = writer.finish().unwrap();
    assert_eq!(message[32..], hex(octets));
    assert!(Message::parse(message).unwrap().payloads().unwrap().tsr.is_some());
}

/// RFC 7296 §3.13: at least one selector, as many as announced.
#[test]
fn a_wrong_number_of_selectors_is_refused() {
    for count in ["00", "02", "ff"] {
        assert_eq!(selectors(&format!("{count}000000 {IPV4}")), Err(Malformed::SelectorCount), "{count}");
    }
    assert_eq!(selectors("00000000"), Err(Malformed::SelectorCount));
    assert_eq!(selectors("ff000000"), Err(Malformed::SelectorCount));
    assert_eq!(selectors(&format!("01000000 {IPV4} {IPV4}")), Err(Malformed::SelectorCount));
}

/// RFC 7296 §3.13.1: 16 octets for IPv4, 40 for IPv6.
#[test]
fn a_selector_of_the_wrong_length_is_refused() {
    for (kind, good) in [(7, 16), (8, 40)] {
        for length in (0..=60).filter(|&length| length != good) {
            let mut body = vec![1, 0, 0, 0, kind, 0, 0, length];
            body.resize(4 + usize::from(length.max(4)), 0);
            assert_eq!(parse(&body), Err(Malformed::SelectorLength), "type {kind}, length {length}");
        }
        let mut beyond = vec![1, 0, 0, 0, kind, 0, 0, good];
        beyond.resize(4 + usize::from(good) - 1, 0);
        assert_eq!(parse(&beyond), Err(Malformed::SelectorLength));
    }
}

/// RFC 7296 §3.13.1: a range that ends before it starts holds nothing.
#[test]
fn a_range_that_ends_before_it_starts_is_refused() {
    for wrong in [
        "07060010 00b300b2 c0000201 c0000201",
        "07060010 ffff0001 c0000201 c0000201",
        "07060010 00b300b3 c0000202 c0000201",
        "08000028 0000ffff 20010db8000000000000000000000001 20010db8000000000000000000000000",
    ] {
        assert_eq!(selectors(&format!("01000000 {wrong}")), Err(Malformed::SelectorRange), "{wrong}");
    }
}

/// RFC 7296 §2.9: types that are not understood are ignored, which may leave none.
#[test]
fn selectors_of_unknown_types_are_ignored() {
    for kind in ["00", "09", "0a", "ff"] {
        let unknown = format!("{kind}000008 01020304");
        assert_eq!(selectors(&format!("02000000 {unknown} {IPV4}")), Ok(vec![ipv4()]));
        assert_eq!(selectors(&format!("01000000 {unknown}")), Ok(vec![]));
        assert_eq!(selectors(&format!("01000000 {kind}000000")), Err(Malformed::SelectorLength));
        assert_eq!(selectors(&format!("01000000 {kind}000009 01020304")), Err(Malformed::SelectorLength));
    }
}
