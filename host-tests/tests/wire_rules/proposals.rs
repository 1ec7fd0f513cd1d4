//! The Security Association payload (RFC 7296 §3.3).

use ike_core::wire::Malformed;
use ike_core::wire::code_point::Protocol;
use ike_core::wire::sa::{self, MAX_PROPOSALS, MAX_TRANSFORMS, Proposal, SaView};
use ike_core::wire::transform::{Transform, TransformType, TransformView};
use ike_core::wire::writer::Writer;

use crate::support::{REQUEST, hex};

/// A transform substructure with these attributes.
fn transform(last: u8, kind: u8, id: u16, attributes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + attributes.len()).unwrap().to_be_bytes();
    let [high, low] = id.to_be_bytes();
    [&[last, 0, length[0], length[1], kind, 0, high, low], attributes].concat()
}

/// A proposal substructure whose transforms are given as octets.
fn proposal(last: u8, number: u8, protocol: u8, spi: &[u8], count: u8, transforms: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + spi.len() + transforms.len()).unwrap().to_be_bytes();
    let spi_size = u8::try_from(spi.len()).unwrap();
    [&[last, 0, length[0], length[1], number, protocol, spi_size, count], spi, transforms].concat()
}

/// The only transform of a proposal with one, with these attributes.
fn only_transform(kind: u8, attributes: &[u8]) -> TransformView {
    let body = proposal(0, 1, 1, &[], 1, &transform(0, kind, 20, attributes));
    let sa = SaView::parse(&body).unwrap();
    let transforms: Vec<_> = sa.proposals().flat_map(|proposal| proposal.transforms()).collect();
    assert_eq!(transforms.len(), 1);
    transforms[0]
}

/// RFC 7296 §3.3, §3.3.5: two proposals as a peer sends them.
#[test]
fn proposals_and_transforms_are_read_in_their_order() {
    let body = hex("02000020 01030402 aabbccdd  0300000c 01000014 800e0100  00000008 05000000
         00000018 02030401 11223344  0000000c 0100000c 800e0080");
    let sa = SaView::parse(&body).unwrap();
    let proposals: Vec<_> = sa.proposals().collect();
    assert_eq!(proposals.len(), 2);
    assert_eq!((proposals[0].number, proposals[0].protocol), (1, Protocol::ESP));
    assert_eq!(proposals[0].child_spi(), Some(0xaabb_ccdd));
    assert_eq!((proposals[1].number, proposals[1].child_spi()), (2, Some(0x1122_3344)));
    let (encr, esn) = (TransformType::ENCR, TransformType::ESN);
    assert_eq!(
        proposals[0].transforms().collect::<Vec<_>>(),
        [
            TransformView { kind: encr, id: 20, key_length: Some(256), usable: true },
            TransformView { kind: esn, id: 0, key_length: None, usable: true },
        ]
    );
    assert_eq!(
        proposals[1].transforms().collect::<Vec<_>>(),
        [TransformView { kind: encr, id: 12, key_length: Some(128), usable: true }]
    );
}

/// RFC 7296 §3.3.1: Num Transforms says how many there are.
#[test]
fn a_wrong_number_of_transforms_refuses_the_payload() {
    for count in [0, 2, 255] {
        let body = proposal(0, 1, 1, &[], count, &transform(0, 1, 20, &[]));
        assert_eq!(SaView::parse(&body), Err(Malformed::TransformCount), "{count}");
    }
}

/// RFC 7296 §3.3.1, §3.3.2: zero for the last, 2 or 3 for the others.
#[test]
fn a_last_substruc_that_lies_refuses_the_payload() {
    let one = |last| transform(last, 1, 20, &[]);
    for last in [1, 2, 3, 255] {
        let body = proposal(0, 1, 1, &[], 1, &one(last));
        assert_eq!(SaView::parse(&body), Err(Malformed::LastSubstructure), "transform {last}");
        let body = proposal(last, 1, 1, &[], 1, &one(0));
        assert_eq!(SaView::parse(&body), Err(Malformed::LastSubstructure), "proposal {last}");
    }
    for more in [0, 1, 2] {
        let body = proposal(0, 1, 1, &[], 2, &[one(more), one(0)].concat());
        assert_eq!(SaView::parse(&body), Err(Malformed::LastSubstructure), "transform {more}");
    }
    for more in [0, 1, 3] {
        let body = [proposal(more, 1, 1, &[], 1, &one(0)), proposal(0, 2, 1, &[], 1, &one(0))].concat();
        assert_eq!(SaView::parse(&body), Err(Malformed::LastSubstructure), "proposal {more}");
    }
}

/// RFC 7296 §3.3.1: none or 8 octets for IKE, 4 for AH and ESP.
#[test]
fn an_spi_of_the_wrong_size_refuses_the_payload() {
    for (protocol, good) in [(1, &[0_usize, 8][..]), (2, &[4]), (3, &[4])] {
        for size in [0_usize, 3, 4, 5, 8, 255] {
            let body = proposal(0, 1, protocol, &vec![1; size], 1, &transform(0, 1, 20, &[]));
            let expected = if good.contains(&size) { None } else { Some(Malformed::SpiSize) };
            assert_eq!(SaView::parse(&body).err(), expected, "protocol {protocol}, size {size}");
        }
    }
    let mut claimed = proposal(0, 1, 3, &[1; 4], 0, &[]);
    claimed[6] = 255;
    assert_eq!(SaView::parse(&claimed), Err(Malformed::SpiSize));
}

/// RFC 7296 §3.3.1: a proposal for another protocol does not spoil the others.
#[test]
fn a_proposal_for_an_unknown_protocol_is_read_past() {
    let one = transform(0, 1, 20, &[]);
    let body = [proposal(2, 1, 77, &[1; 3], 1, &one), proposal(0, 2, 3, &[1; 4], 1, &one)].concat();
    let sa = SaView::parse(&body).unwrap();
    let protocols: Vec<_> = sa.proposals().map(|proposal| proposal.protocol).collect();
    assert_eq!(protocols, [Protocol(77), Protocol::ESP]);
}

/// RFC 7296 §3.3.1: 1, 2, 3…; an answer could not say which of two equal numbers it means.
#[test]
fn proposals_that_are_not_numbered_upwards_are_refused() {
    let one = transform(0, 1, 20, &[]);
    for (first, second, good) in [(1, 2, true), (1, 3, true), (1, 1, false), (2, 1, false)] {
        let body = [proposal(2, first, 1, &[], 1, &one), proposal(0, second, 1, &[], 1, &one)].concat();
        assert_eq!(SaView::parse(&body).err(), (!good).then_some(Malformed::ProposalNumber));
    }
}

/// Work is bounded: a payload with more proposals or transforms than anybody needs is refused.
#[test]
fn too_many_proposals_or_transforms_are_refused() {
    let transforms = |count: usize| -> Vec<u8> {
        (1..=count).flat_map(|n| transform(if n == count { 0 } else { 3 }, 1, 20, &[])).collect()
    };
    let proposals = |count: usize, transforms: &[u8], announced: u8| -> Vec<u8> {
        (1..=count)
            .flat_map(|n| {
                let number = u8::try_from(n).unwrap();
                proposal(if n == count { 0 } else { 2 }, number, 1, &[], announced, transforms)
            })
            .collect()
    };
    let most = proposals(MAX_PROPOSALS, &transforms(MAX_TRANSFORMS), 64);
    assert!(SaView::parse(&most).is_ok());
    let many = proposals(MAX_PROPOSALS + 1, &transforms(1), 1);
    assert_eq!(SaView::parse(&many), Err(Malformed::TooManyProposals));
    let many = proposals(1, &transforms(MAX_TRANSFORMS + 1), 65);
    assert_eq!(SaView::parse(&many), Err(Malformed::TooManyTransforms));
    let all = proposals(255, &transforms(255), 255);
    assert_eq!(SaView::parse(&all), Err(Malformed::TooManyTransforms));
}

/// RFC 7296 §3.3: lengths of substructures.
#[test]
fn a_substructure_beyond_its_container_refuses_the_payload() {
    let good = proposal(0, 1, 1, &[], 1, &transform(0, 1, 20, &[]));
    assert!(SaView::parse(&good).is_ok());
    for (at, lengths) in [(2, [0_u16, 3, 7, 15, 17, 65535]), (10, [0, 3, 4, 7, 9, 65535])] {
        for length in lengths {
            let mut body = good.clone();
            body[at..at + 2].copy_from_slice(&length.to_be_bytes());
            assert!(SaView::parse(&body).is_err(), "length {length} at {at}");
        }
    }
    assert_eq!(SaView::parse(&good[..15]), Err(Malformed::SubstructureLength));
    assert_eq!(SaView::parse(&[good.as_slice(), &[0]].concat()), Err(Malformed::LastSubstructure));
}

/// RFC 7296 §3.3.5, §3.3.6: a bad key length makes that transform unusable, and only that.
#[test]
fn a_bad_key_length_makes_the_transform_unusable() {
    for bits in [128, 192, 256_u16] {
        let attribute = [&[0x80, 0x0e][..], &bits.to_be_bytes()].concat();
        assert_eq!(only_transform(1, &attribute).key_length, Some(bits));
        assert!(only_transform(1, &attribute).usable);
    }
    for bits in [0, 1, 127, 129, 512, 65535_u16] {
        let attribute = [&[0x80, 0x0e][..], &bits.to_be_bytes()].concat();
        let transform = only_transform(1, &attribute);
        assert!(!transform.usable, "{bits}");
        assert_eq!((transform.key_length, transform.transform()), (None, None));
    }
    let twice = hex("800e0080 800e0080");
    let long_form = hex("000e0004 00000080");
    let long_form_of_4_gib = hex("000effff ffffffff");
    let cut = hex("800e");
    let unknown = hex("800e0080 80630001");
    for attributes in [twice, long_form, long_form_of_4_gib, cut, unknown] {
        assert!(!only_transform(1, &attributes).usable, "{attributes:02x?}");
    }
}

/// RFC 7296 §3.3.5: only encryption algorithms have several key lengths.
#[test]
fn a_key_length_on_another_type_makes_the_transform_unusable() {
    for kind in 2..=5 {
        assert!(only_transform(kind, &[]).usable);
        assert!(!only_transform(kind, &hex("800e0080")).usable);
    }
}

/// RFC 7296 §3.3.6: an unknown transform type spoils its proposal, an unknown attribute does not.
#[test]
fn an_unknown_transform_type_spoils_its_proposal_only() {
    let known = transform(0, 1, 20, &hex("800e0080"));
    let unknown = [transform(3, 77, 1, &[]), known.clone()].concat();
    let attribute = [transform(3, 1, 20, &hex("80630001")), known.clone()].concat();
    let body = [
        proposal(2, 1, 1, &[], 2, &unknown),
        proposal(2, 2, 1, &[], 2, &attribute),
        proposal(0, 3, 1, &[], 1, &known),
    ]
    .concat();
    let sa = SaView::parse(&body).unwrap();
    let understood: Vec<_> = sa.proposals().map(|proposal| proposal.is_understood()).collect();
    assert_eq!(understood, [false, true, true]);
    let usable: Vec<Vec<_>> =
        sa.proposals().map(|p| p.transforms().map(|transform| transform.usable).collect()).collect();
    assert_eq!(usable, [vec![true, true], vec![false, true], vec![true]]);
}

/// RFC 7296 §3.3.1, §3.3.2: the writer counts, links and measures.
#[test]
fn proposals_are_written_as_the_rfc_draws_them() {
    let encr = Transform { kind: TransformType::ENCR, id: 20, key_length: Some(256) };
    let esn = Transform { kind: TransformType::ESN, id: 0, key_length: None };
    let mut buffer = [0; 256];
    let mut writer = Writer::new(&mut buffer, &REQUEST).unwrap();
    let proposal = |number, spi| Proposal { number, protocol: Protocol::ESP, spi, transforms: [encr, esn] };
    sa::write([proposal(1, &[0xaa; 4]), proposal(2, &[0xbb; 4])], &mut writer).unwrap();
    let message = writer.finish().unwrap();
    let expected = hex("00000044
         02000020 01030402 aaaaaaaa 0300000c 01000014 800e0100 00000008 05000000
         00000020 02030402 bbbbbbbb 0300000c 01000014 800e0100 00000008 05000000");
    assert_eq!(message[28..], expected);
}
