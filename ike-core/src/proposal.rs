//! Negotiation of algorithms (RFC 7296 §2.7, §3.3): what we offer, what of an offer we take, and
//! whether an answer is one of our offers. A transform that we do not know only makes itself unusable;
//! an offer that we cannot take is described by the first transform type that has nothing in common.

use esp_engine::crypto::Algorithm;

use crate::config::Suite;
use crate::crypto::Group;
use crate::error::{self, Mismatch};
use crate::wire::NoSpace;
use crate::wire::code_point::Protocol;
use crate::wire::header::IkeSpi;
use crate::wire::sa::{self, Proposal, ProposalView, SaView};
use crate::wire::transform::{EncryptionId, IntegrityId, Transform, TransformType};
use crate::wire::writer::Writer;

pub(crate) use esp::{EspChoice, Pfs, accept_esp, answer_esp, choose_esp, offer_esp};

use additional::AdditionalTransforms;

mod additional;
mod esp;

const fn transform(kind: TransformType, id: u16) -> Transform {
    Transform { kind, id, key_length: None }
}

fn encryption(algorithm: Algorithm) -> Transform {
    let (id, key_length) = match algorithm {
        Algorithm::Aes128Gcm16 => (EncryptionId::AES_GCM_16, Some(128)),
        Algorithm::Aes256Gcm16 => (EncryptionId::AES_GCM_16, Some(256)),
        Algorithm::ChaCha20Poly1305 => (EncryptionId::CHACHA20_POLY1305, None),
        Algorithm::Aes128CbcHmacSha256 => (EncryptionId::AES_CBC, Some(128)),
        Algorithm::Aes256CbcHmacSha256 => (EncryptionId::AES_CBC, Some(256)),
        Algorithm::NullHmacSha256 => (EncryptionId::NULL, None),
        Algorithm::Aes128Gmac => (EncryptionId::NULL_AUTH_AES_GMAC, Some(128)),
        Algorithm::Aes256Gmac => (EncryptionId::NULL_AUTH_AES_GMAC, Some(256)),
    };
    Transform { kind: TransformType::ENCR, id: id.0, key_length }
}

/// `None` where the encryption authenticates too (RFC 7296 §3.3.3).
fn integrity(algorithm: Algorithm) -> Option<Transform> {
    match algorithm {
        Algorithm::Aes128CbcHmacSha256 | Algorithm::Aes256CbcHmacSha256 | Algorithm::NullHmacSha256 => {
            Some(transform(TransformType::INTEG, IntegrityId::HMAC_SHA2_256_128.0))
        }
        _ => None,
    }
}

/// The transforms of one proposal: of ESP with as many groups as are offered, or with each type of additional key
/// exchange.
type Transforms =
    heapless::Vec<Transform, { 4 + if ADDITIONAL > MAX_GROUPS + 1 { ADDITIONAL } else { MAX_GROUPS + 1 } }>;

const ADDITIONAL: usize = TransformType::ADDITIONAL.len();

fn add(transforms: &mut Transforms, more: impl IntoIterator<Item = Transform>) {
    for transform in more {
        let added = transforms.push(transform);
        debug_assert!(added.is_ok(), "more transforms than a proposal of ours has");
    }
}

/// The transforms of a suite for an IKE SA, one of each type, without those of additional key exchanges.
fn ike_transforms(suite: &Suite, additional: &[Option<Transform>]) -> Transforms {
    let own = [
        Some(encryption(suite.ike)),
        Some(transform(TransformType::PRF, suite.prf.id())),
        integrity(suite.ike),
        Some(transform(TransformType::KE, suite.group.id())),
    ];
    let mut transforms = Transforms::new();
    add(&mut transforms, own.iter().chain(additional).copied().flatten());
    transforms
}

/// What was agreed for an IKE SA.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct IkeChoice {
    /// The proposal's number.
    pub(crate) number: u8,
    pub(crate) suite: Suite,
    /// The SPI that the peer chose; in a first exchange it stands in the header alone.
    pub(crate) spi: Option<IkeSpi>,
    additional: AdditionalTransforms,
}

/// What the proposals are for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum IkeSaKind {
    /// A first IKE SA; there may be an additional key exchange if both ends speak IKE_INTERMEDIATE.
    First { may_add: bool },
    /// A successor: the proposals carry SPIs (RFC 7296 §3.3.1).
    Successor,
}

impl IkeSaKind {
    /// The SPI of a proposal, if it is as it has to be.
    fn spi(self, proposal: &ProposalView<'_>) -> Option<Option<IkeSpi>> {
        match (self, proposal.spi) {
            (Self::First { .. }, []) => Some(None),
            (Self::First { .. }, _) => None,
            (Self::Successor, spi) => {
                let spi = IkeSpi(u64::from_be_bytes(spi.try_into().ok()?));
                (spi != IkeSpi::ZERO).then_some(Some(spi))
            }
        }
    }

    /// The additional key exchange that this suite has here; `None` when it cannot take place.
    fn additional(self, suite: &Suite) -> Option<Option<Group>> {
        match (self, suite.additional) {
            (Self::First { may_add: false }, Some(_)) => None,
            (_, additional) => Some(additional),
        }
    }
}

/// Offers every suite, one proposal each; for a successor with the SPI that we chose.
pub(crate) fn offer_ike(
    suites: &[Suite],
    spi: Option<IkeSpi>,
    writer: &mut Writer<'_>,
) -> Result<(), NoSpace> {
    let spi = spi.map(IkeSpi::octets);
    let proposals = (1..=u8::MAX).zip(suites).map(|(number, suite)| Proposal {
        number,
        protocol: Protocol::IKE,
        spi: spi.as_ref().map_or(&[][..], |spi| spi),
        transforms: ike_transforms(suite, &[additional::own(suite.additional)]),
    });
    sa::write(proposals, writer)
}

/// Answers with what was chosen; for a successor with the SPI that we chose.
pub(crate) fn answer_ike(
    choice: &IkeChoice,
    spi: Option<IkeSpi>,
    writer: &mut Writer<'_>,
) -> Result<(), NoSpace> {
    let spi = spi.map(IkeSpi::octets);
    let spi = spi.as_ref().map_or(&[][..], |spi| spi);
    let transforms = ike_transforms(&choice.suite, &choice.additional);
    sa::write([Proposal { number: choice.number, protocol: Protocol::IKE, spi, transforms }], writer)
}

/// The best of our suites that the peer offers.
pub(crate) fn choose_ike(
    offer: &SaView<'_>,
    suites: &[Suite],
    kind: IkeSaKind,
) -> Result<IkeChoice, Mismatch> {
    for suite in suites {
        let wanted = ike_transforms(suite, &[]);
        let choice = |p: ProposalView<'_>| {
            let (spi, additional) = (kind.spi(&p)?, additional::choose(&p, kind.additional(suite)?)?);
            let fits = is_for_ike(&p, suite.ike) && differs(&p, &wanted).is_none();
            fits.then_some(IkeChoice { number: p.number, suite: *suite, spi, additional })
        };
        if let Some(choice) = offer.proposals().find_map(choice) {
            return Ok(choice);
        }
    }
    let wanted = |suite: &Suite| ike_transforms(suite, &[additional::own(suite.additional)]);
    Err(describe(offer, &suites.first().map(wanted).unwrap_or_default()))
}

fn is_for_ike(proposal: &ProposalView<'_>, algorithm: Algorithm) -> bool {
    proposal.protocol == Protocol::IKE
        && is_usable(proposal, algorithm)
        && !proposal.transforms().any(|t| t.kind == TransformType::ESN)
}

/// Every type of transform is known, and a combined-mode cipher needs no integrity algorithm beside it
/// (RFC 7296 §3.3, RFC 5282 §8).
fn is_usable(proposal: &ProposalView<'_>, algorithm: Algorithm) -> bool {
    let mut offered = proposal.transforms().filter(|t| t.kind == TransformType::INTEG).peekable();
    let mut may_do_without = || offered.peek().is_none() || offered.any(|t| t.id == IntegrityId::NONE.0);
    proposal.is_understood() && (integrity(algorithm).is_some() || may_do_without())
}

/// The first transform that is wanted and not in the proposal.
fn differs(proposal: &ProposalView<'_>, wanted: &[Transform]) -> Option<Transform> {
    wanted.iter().copied().find(|w| !proposal.transforms().any(|t| t.transform() == Some(*w)))
}

/// Where the first proposal and our first suite part.
fn describe(offer: &SaView<'_>, wanted: &[Transform]) -> Mismatch {
    let first = offer.proposals().next();
    let ours = first.and_then(|p| differs(&p, wanted)).or_else(|| wanted.first().copied());
    let kind = ours.map_or(TransformType::INTEG, |t| t.kind);
    let theirs = first.and_then(|p| p.transforms().find(|t| t.kind == kind));
    Mismatch {
        kind: kind.0,
        ours: ours.map_or(error::Transform { id: 0, key_bits: None }, |t| error::Transform {
            id: t.id,
            key_bits: t.key_length,
        }),
        theirs: theirs.map(|t| error::Transform { id: t.id, key_bits: t.key_length }),
    }
}

/// What an answer to our offer takes; `None` unless it is exactly one of ours.
pub(crate) fn accept_ike(answer: &SaView<'_>, suites: &[Suite], kind: IkeSaKind) -> Option<IkeChoice> {
    let proposal = only(answer)?;
    let suite = suites.get(usize::from(proposal.number).checked_sub(1)?)?;
    let (spi, own) = (kind.spi(&proposal)?, additional::own(kind.additional(suite)?));
    let matches = proposal.protocol == Protocol::IKE && is_exactly(&proposal, &ike_transforms(suite, &[own]));
    let additional = additional::choose(&proposal, kind.additional(suite)?)?;
    matches.then_some(IkeChoice { number: proposal.number, suite: *suite, spi, additional })
}

/// The one proposal of an answer.
fn only<'a>(answer: &SaView<'a>) -> Option<ProposalView<'a>> {
    let mut proposals = answer.proposals();
    let first = proposals.next()?;
    proposals.next().is_none().then_some(first)
}

/// Whether these are the proposal's transforms and no other (RFC 7296 §3.3.6).
fn is_exactly(proposal: &ProposalView<'_>, wanted: &[Transform]) -> bool {
    proposal.transforms().count() == wanted.len() && differs(proposal, wanted).is_none()
}

/// Groups that are offered at most.
const MAX_GROUPS: usize = 4;

/// The suites' groups, each once.
pub(crate) fn groups(suites: &[Suite]) -> heapless::Vec<Group, MAX_GROUPS> {
    let mut groups = heapless::Vec::new();
    for suite in suites {
        if !groups.contains(&suite.group) {
            // More than these are not offered.
            let _ = groups.push(suite.group);
        }
    }
    groups
}
