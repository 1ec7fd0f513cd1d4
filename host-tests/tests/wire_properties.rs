//! Properties of the wire format: no octets make a parser panic or read elsewhere, and what is
//! written is read back equal.

use core::net::IpAddr;

use esp_engine::selector::{AddressRange, PortRange, TrafficSelector};
use host_tests::fuzz::wire::{self, algorithms, cipher};
use ike_core::wire::auth::AuthView;
use ike_core::wire::cert::{CertRequestView, CertView};
use ike_core::wire::code_point::{AuthMethod, CertEncoding, ExchangeType, IdType, PayloadType, Protocol};
use ike_core::wire::delete;
use ike_core::wire::encrypted::{Encrypted, EncryptedWriter};
use ike_core::wire::header::{Flags, Header, IkeSpi, Message};
use ike_core::wire::id::IdView;
use ike_core::wire::ke::KeView;
use ike_core::wire::nonce::NonceView;
use ike_core::wire::notify::{NotifyType, NotifyView};
use ike_core::wire::payloads::Payloads;
use ike_core::wire::sa::{self, Proposal};
use ike_core::wire::transform::{KeyExchangeMethod, Transform, TransformType};
use ike_core::wire::ts;
use ike_core::wire::writer::Writer;
use ike_core::wire::{spki, vendor};
use proptest::collection::vec;
use proptest::prelude::*;

const MAX_MESSAGE: usize = 4096;

prop_compose! {
    fn header()(
        initiator in 1_u64..,
        responder: u64,
        exchange: u8,
        initiator_flag: bool,
        response: bool,
        message_id: u32,
    ) -> Header {
        Header {
            initiator_spi: IkeSpi(initiator),
            responder_spi: IkeSpi(responder),
            next_payload: PayloadType::NONE,
            exchange: ExchangeType(exchange),
            flags: Flags { initiator: initiator_flag, response },
            message_id,
        }
    }
}

prop_compose! {
    /// Octets behind a header that says how long they are.
    fn framed()(header in header(), first in payload_type(), body in vec(any::<u8>(), 0..300)) -> Vec<u8> {
        frame(header, first, &body)
    }
}

fn frame(header: Header, first: u8, body: &[u8]) -> Vec<u8> {
    let header = Header { next_payload: PayloadType(first), ..header };
    let length = u32::try_from(Header::LENGTH + body.len()).unwrap();
    [&header.octets(length)[..], body].concat()
}

fn payload_type() -> impl Strategy<Value = u8> {
    prop_oneof![4 => 33_u8..=48, 1 => Just(53_u8), 1 => any::<u8>()]
}

prop_compose! {
    /// A chain whose payload headers are right, so that bodies are reached.
    fn linked()(
        header in header(),
        parts in vec((payload_type(), any::<bool>(), vec(any::<u8>(), 0..60)), 0..34),
        last in prop_oneof![9 => Just(0_u8), 1 => any::<u8>()],
    ) -> Vec<u8> {
        let mut body = Vec::new();
        for (index, (_, critical, part)) in parts.iter().enumerate() {
            let next = parts.get(index + 1).map_or(last, |next| next.0);
            body.extend([next, if *critical { 0x80 } else { 0 }]);
            body.extend(u16::try_from(part.len() + 4).unwrap().to_be_bytes());
            body.extend(part);
        }
        frame(header, parts.first().map_or(last, |part| part.0), &body)
    }
}

fn transform() -> impl Strategy<Value = Transform> {
    let key_length = prop_oneof![Just(None), Just(Some(128)), Just(Some(192)), Just(Some(256))];
    let encr = (any::<u16>(), key_length).prop_map(|(id, key_length)| Transform {
        kind: TransformType::ENCR,
        id,
        key_length,
    });
    let other = (2_u8.., any::<u16>()).prop_map(|(kind, id)| Transform {
        kind: TransformType(kind),
        id,
        key_length: None,
    });
    prop_oneof![encr, other]
}

fn proposals() -> impl Strategy<Value = Vec<(Protocol, Vec<u8>, Vec<Transform>)>> {
    let protocol = prop_oneof![
        Just((Protocol::IKE, 0)),
        Just((Protocol::IKE, 8)),
        Just((Protocol::ESP, 4)),
        Just((Protocol::AH, 4)),
    ];
    vec(
        protocol.prop_flat_map(|(protocol, size)| {
            (Just(protocol), vec(any::<u8>(), size), vec(transform(), 0..20))
        }),
        1..=16,
    )
}

prop_compose! {
    fn range()(v6: bool, a: u128, b: u128) -> AddressRange {
        let address = |bits: u128| -> IpAddr {
            if v6 { IpAddr::V6(bits.into()) } else { IpAddr::V4((bits as u32).into()) }
        };
        let (a, b) = (address(a), address(b));
        AddressRange::new(a.min(b), a.max(b)).unwrap()
    }
}

prop_compose! {
    fn selector()(protocol: u8, a: u16, b: u16, opaque: bool, addresses in range()) -> TrafficSelector {
        let ports = if opaque { PortRange::OPAQUE } else { PortRange::new(a.min(b), a.max(b)).unwrap() };
        TrafficSelector { protocol, ports, addresses }
    }
}

/// Writes one message and reads it again.
fn round_trip(
    header: Header,
    write: impl FnOnce(&mut Writer<'_>),
    check: impl FnOnce(&Payloads<'_>) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let mut buffer = [0xaa; MAX_MESSAGE];
    let mut writer = Writer::new(&mut buffer, &header).unwrap();
    write(&mut writer);
    let message = Message::parse(writer.finish().unwrap()).unwrap();
    prop_assert_eq!(Header { next_payload: PayloadType::NONE, ..message.header }, header);
    check(&message.payloads().unwrap())
}

proptest! {
    #[test]
    fn no_octets_make_a_parser_panic(octets in vec(any::<u8>(), 0..200)) {
        wire::as_message(&octets);
        wire::as_body(&octets);
    }

    #[test]
    fn no_octets_behind_a_header_make_a_parser_panic(octets in framed()) {
        wire::as_message(&octets);
    }

    #[test]
    fn no_octets_inside_payloads_make_a_parser_panic(octets in linked()) {
        wire::as_message(&octets);
        wire::as_text(PayloadType(octets[16]), &octets[Header::LENGTH..]);
    }

    #[test]
    fn no_damaged_proposals_make_a_parser_panic(list in proposals(), at: prop::sample::Index, octet: u8) {
        let mut buffer = [0; MAX_MESSAGE];
        let header = Header::parse(&[1; 28]).unwrap();
        let mut writer = Writer::new(&mut buffer, &header).unwrap();
        let list = (1..).zip(&list).map(|(number, (protocol, spi, transforms))| {
            Proposal { number, protocol: *protocol, spi, transforms: transforms.as_slice() }
        });
        sa::write(list, &mut writer).unwrap();
        let message = writer.finish().unwrap();
        message[at.index(message.len())] = octet;
        wire::as_message(message);
        wire::as_body(&message[32..]);
    }

    #[test]
    fn proposals_are_read_as_they_were_written(header in header(), list in proposals()) {
        round_trip(
            header,
            |writer| {
                let list = (1..).zip(&list).map(|(number, (protocol, spi, transforms))| {
                    Proposal { number, protocol: *protocol, spi, transforms: transforms.as_slice() }
                });
                sa::write(list, writer).unwrap();
            },
            |payloads| {
                let read: Vec<_> = payloads.sa.unwrap().proposals().map(|proposal| {
                    let transforms = proposal.transforms().map(|t| t.transform().unwrap()).collect();
                    (proposal.protocol, proposal.spi.to_vec(), transforms)
                }).collect();
                prop_assert_eq!(&read, &list);
                Ok(())
            },
        )?;
    }

    #[test]
    fn selectors_are_read_as_they_were_written(
        header in header(),
        initiator in vec(selector(), 1..40),
        responder in vec(selector(), 1..40),
    ) {
        round_trip(
            header,
            |writer| {
                ts::write(PayloadType::TSI, &initiator, writer).unwrap();
                ts::write(PayloadType::TSR, &responder, writer).unwrap();
            },
            |payloads| {
                prop_assert_eq!(payloads.tsi.unwrap().selectors().collect::<Vec<_>>(), initiator.clone());
                prop_assert_eq!(payloads.tsr.unwrap().selectors().collect::<Vec<_>>(), responder.clone());
                Ok(())
            },
        )?;
    }

    #[test]
    fn payloads_are_read_as_they_were_written(
        header in header(),
        numbers: (u16, u8, u8, u16, u8),
        data in vec(vec(any::<u8>(), 1..200), 6),
        nonce in vec(any::<u8>(), 16..=256),
        spis in vec(any::<u32>(), 0..20),
    ) {
        let ke = KeView { method: KeyExchangeMethod(numbers.0), data: &data[0] };
        let nonce = NonceView::parse(&nonce).unwrap();
        let id = IdView::new(IdType::KEY_ID, &data[1]).unwrap();
        let auth = AuthView { method: AuthMethod(numbers.1), data: &data[2] };
        let cert = CertView { encoding: CertEncoding(numbers.2), data: &data[3] };
        let request = CertRequestView { encoding: CertEncoding(numbers.2), authority: &data[4] };
        let kind = NotifyType(numbers.3);
        prop_assume!(kind != NotifyType::REKEY_SA);
        let notify = NotifyView { protocol: Protocol(numbers.4), spi: &data[4], kind, data: &data[5] };
        round_trip(
            header,
            |writer| {
                ke.write(writer).unwrap();
                nonce.write(writer).unwrap();
                id.write(PayloadType::IDI, writer).unwrap();
                IdView::NULL.write(PayloadType::IDR, writer).unwrap();
                auth.write(writer).unwrap();
                cert.write(writer).unwrap();
                request.write(writer).unwrap();
                notify.write(writer).unwrap();
                delete::write_esp(&spis, writer).unwrap();
                vendor::write(&data[0], writer).unwrap();
            },
            |payloads| {
                prop_assert_eq!(payloads.ke, Some(ke));
                prop_assert_eq!(payloads.nonce, Some(nonce));
                prop_assert_eq!((payloads.idi, payloads.idr), (Some(id), Some(IdView::NULL)));
                prop_assert_eq!(payloads.auth, Some(auth));
                prop_assert_eq!(payloads.certs().collect::<Vec<_>>(), [cert]);
                prop_assert_eq!(payloads.cert_requests().collect::<Vec<_>>(), [request]);
                prop_assert_eq!(payloads.notifies().collect::<Vec<_>>(), [notify]);
                let deleted: Vec<_> = payloads.deletes().flat_map(|delete| delete.spis()).collect();
                prop_assert_eq!(deleted, spis.clone());
                prop_assert_eq!(payloads.vendor_ids().collect::<Vec<_>>(), [&data[0]]);
                Ok(())
            },
        )?;
    }

    #[test]
    fn what_is_sealed_opens_to_the_same_payloads(
        header in header(),
        algorithm in prop::sample::select(algorithms().collect::<Vec<_>>()),
        ids in vec(vec(any::<u8>(), 0..100), 0..20),
        counter: u64,
    ) {
        let mut buffer = [0; MAX_MESSAGE];
        let mut writer = EncryptedWriter::new(&mut buffer, &header, algorithm).unwrap();
        for id in &ids {
            vendor::write(id, writer.payloads()).unwrap();
        }
        let octets = writer.seal(&cipher(algorithm), counter).unwrap();
        let message = Message::parse(octets).unwrap();
        let (header, encrypted) = (message.header, Encrypted::find(&message).unwrap().unwrap());
        let text = encrypted.open(octets, &cipher(algorithm)).unwrap();
        let payloads = Payloads::parse(encrypted.chain(&header, text)).unwrap();
        prop_assert_eq!(payloads.vendor_ids().collect::<Vec<_>>(), ids);
    }

    #[test]
    fn no_damaged_certificate_makes_the_walk_panic(
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut: prop::sample::Index,
    ) {
        let mut der = certificate();
        for (at, octet) in damage {
            let at = at.index(der.len());
            der[at] = octet;
        }
        let _ = spki::from_certificate(&der);
        let _ = spki::from_certificate(&der[..cut.index(der.len())]);
    }
}

/// The least that is a certificate: version, serial, four empty sequences, a key, a signature.
fn certificate() -> Vec<u8> {
    let key = [&[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0][..], &[1; 32]].concat();
    let tbs = [&[0xa0, 3, 2, 1, 2, 2, 1, 1, 0x30, 0, 0x30, 0, 0x30, 0, 0x30, 0][..], &key].concat();
    let tbs = [&[0x30, u8::try_from(tbs.len()).unwrap()][..], &tbs].concat();
    let body = [&tbs[..], &[0x30, 0, 3, 1, 0]].concat();
    let der = [&[0x30, u8::try_from(body.len()).unwrap()][..], &body].concat();
    assert!(spki::from_certificate(&der).is_ok());
    der
}
