//! Negotiation of algorithms (RFC 7296 §2.7, §3.3): what we offer, what of an offer we take, and
//! whether an answer is one of our offers. A transform that we do not know only makes itself unusable;
//! an offer that we cannot take is described by the first transform type that has nothing in common.

use esp_engine::crypto::Algorithm;
use esp_engine::sa::Spi;

use crate::config::Suite;
use crate::crypto::Group;
use crate::error::{self, Mismatch};
use crate::wire::NoSpace;
use crate::wire::code_point::Protocol;
use crate::wire::header::IkeSpi;
use crate::wire::sa::{self, Proposal, ProposalView, SaView};
use crate::wire::transform::{
    EncryptionId, IntegrityId, KeyExchangeMethod, SequenceNumbers, Transform, TransformType,
};
use crate::wire::writer::Writer;

/// What was agreed for a pair of Child SAs.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct EspChoice {
    /// The proposal's number.
    pub(crate) number: u8,
    pub(crate) algorithm: Algorithm,
    pub(crate) extended_sequence: bool,
    /// The key exchange for fresh keys.
    pub(crate) group: Option<Group>,
    /// The SPI that the peer chose.
    pub(crate) outbound: Spi,
}

/// Whether the keys of Child SAs may come from a key exchange of their own.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Pfs {
    /// No: IKE_AUTH has no place for one (RFC 7296 §1.2).
    None,
    /// Yes, and the request carries a public value of this method, if any.
    With(Option<u16>),
}

impl Pfs {
    /// What a proposal allows: `Some(None)` is keys without a key exchange.
    fn group(self, proposal: &ProposalView<'_>) -> Option<Option<Group>> {
        let methods = || proposal.transforms().filter(|t| t.kind == TransformType::KE).map(|t| t.id);
        if let Self::With(Some(carried)) = self
            && methods().any(|id| id == carried)
            && let Some(group) = Group::from_id(carried)
        {
            return Some(Some(group));
        }
        if methods().next().is_none() || methods().any(|id| id == KeyExchangeMethod::NONE.0) {
            return Some(None);
        }
        match self {
            Self::None => None,
            Self::With(_) => methods().find_map(Group::from_id).map(Some),
        }
    }
}

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

fn sequence(extended: bool) -> Transform {
    let id = if extended { SequenceNumbers::EXTENDED } else { SequenceNumbers::SHORT };
    transform(TransformType::ESN, id.0)
}

/// The transforms of a suite for an IKE SA, one of each type, without those of additional key exchanges.
fn ike_transforms(suite: &Suite) -> impl Iterator<Item = Transform> + Clone + use<> {
    let own = [
        Some(encryption(suite.ike)),
        Some(transform(TransformType::PRF, suite.prf.id())),
        integrity(suite.ike),
        Some(transform(TransformType::KE, suite.group.id())),
    ];
    own.into_iter().flatten()
}

/// The transforms of an algorithm for Child SAs, behind which those of the other types stand.
fn esp_transforms(
    algorithm: Algorithm,
    others: impl IntoIterator<Item = Transform, IntoIter: Clone>,
) -> impl Iterator<Item = Transform> + Clone {
    [Some(encryption(algorithm)), integrity(algorithm)].into_iter().flatten().chain(others)
}

/// What was agreed for an IKE SA.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct IkeChoice {
    /// The proposal's number.
    pub(crate) number: u8,
    pub(crate) suite: Suite,
    /// The SPI that the peer chose; in a first exchange it stands in the header alone.
    pub(crate) spi: Option<IkeSpi>,
    additional: AdditionalTransforms,
}

/// One transform for each type of additional key exchange that the proposal has.
type AdditionalTransforms = [Option<Transform>; TransformType::ADDITIONAL.len()];

/// What the proposals are for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum IkeSaKind {
    /// A first IKE SA; there may be an additional key exchange if both ends speak IKE_INTERMEDIATE.
    First { may_add: bool },
    /// A successor: the proposals carry SPIs (RFC 7296 §3.3.1). An additional key exchange of the first IKE
    /// SA lives on in SK_d, from which the keys come.
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
            (Self::First { .. }, additional) => Some(additional),
            (Self::Successor, _) => Some(None),
        }
    }
}

/// What of a proposal's additional key exchanges is to be taken: the one that is wanted, whichever its place,
/// and NONE for the others (RFC 9370 §2.2.1). `None` when that is not offered.
fn additional(proposal: &ProposalView<'_>, mut wanted: Option<Group>) -> Option<AdditionalTransforms> {
    let mut chosen = [None; TransformType::ADDITIONAL.len()];
    for (kind, place) in TransformType::ADDITIONAL.into_iter().zip(&mut chosen) {
        let offers = |id: u16| proposal.transforms().any(|t| t.transform() == Some(transform(kind, id)));
        if !proposal.transforms().any(|t| t.kind == kind) {
            continue;
        }
        let id = match wanted {
            Some(group) if offers(group.id()) => {
                wanted = None;
                group.id()
            }
            _ if offers(KeyExchangeMethod::NONE.0) => KeyExchangeMethod::NONE.0,
            _ => return None,
        };
        *place = Some(transform(kind, id));
    }
    wanted.is_none().then_some(chosen)
}

/// Where we put it in our own offers.
fn own_additional(group: Option<Group>) -> Option<Transform> {
    group.map(|group| transform(TransformType::ADDKE1, group.id()))
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
        transforms: ike_transforms(suite).chain(own_additional(suite.additional.filter(|_| spi.is_none()))),
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
    let transforms = ike_transforms(&choice.suite).chain(choice.additional.into_iter().flatten());
    sa::write([Proposal { number: choice.number, protocol: Protocol::IKE, spi, transforms }], writer)
}

/// The best of our suites that the peer offers.
pub(crate) fn choose_ike(
    offer: &SaView<'_>,
    suites: &[Suite],
    kind: IkeSaKind,
) -> Result<IkeChoice, Mismatch> {
    for suite in suites {
        let wanted = ike_transforms(suite);
        let choice = |p: ProposalView<'_>| {
            let (spi, additional) = (kind.spi(&p)?, additional(&p, kind.additional(suite)?)?);
            let fits = is_for_ike(&p, suite.ike) && differs(&p, wanted.clone()).is_none();
            fits.then_some(IkeChoice { number: p.number, suite: *suite, spi, additional })
        };
        if let Some(choice) = offer.proposals().find_map(choice) {
            return Ok(choice);
        }
    }
    Err(describe(offer, suites.first().into_iter().flat_map(ike_transforms)))
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
fn differs(proposal: &ProposalView<'_>, mut wanted: impl Iterator<Item = Transform>) -> Option<Transform> {
    wanted.find(|w| !proposal.transforms().any(|t| t.transform() == Some(*w)))
}

/// Where the first proposal and our first suite part.
fn describe(offer: &SaView<'_>, mut wanted: impl Iterator<Item = Transform> + Clone) -> Mismatch {
    let first = offer.proposals().next();
    let ours = first.and_then(|p| differs(&p, wanted.clone())).or_else(|| wanted.next());
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
    let (spi, own) = (kind.spi(&proposal)?, own_additional(kind.additional(suite)?));
    let matches =
        proposal.protocol == Protocol::IKE && is_exactly(&proposal, ike_transforms(suite).chain(own));
    let additional = additional(&proposal, kind.additional(suite)?)?;
    matches.then_some(IkeChoice { number: proposal.number, suite: *suite, spi, additional })
}

/// The one proposal of an answer.
fn only<'a>(answer: &SaView<'a>) -> Option<ProposalView<'a>> {
    let mut proposals = answer.proposals();
    let first = proposals.next()?;
    proposals.next().is_none().then_some(first)
}

/// Whether these are the proposal's transforms and no other (RFC 7296 §3.3.6).
fn is_exactly(proposal: &ProposalView<'_>, wanted: impl Iterator<Item = Transform> + Clone) -> bool {
    proposal.transforms().count() == wanted.clone().count() && differs(proposal, wanted).is_none()
}

/// The suites' ciphers for packets, each once.
fn esp_algorithms(suites: &[Suite]) -> impl Iterator<Item = Algorithm> + '_ {
    let is_first = |index: usize, suite: &Suite| !suites.iter().take(index).any(|s| s.esp == suite.esp);
    suites.iter().enumerate().filter(move |(i, s)| is_first(*i, s)).map(|(_, suite)| suite.esp)
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

/// Offers every cipher with 64-bit sequence numbers and without, one proposal each; with a key exchange all
/// groups, that of our public value first.
pub(crate) fn offer_esp(
    suites: &[Suite],
    spi: Spi,
    exchange: Option<Group>,
    writer: &mut Writer<'_>,
) -> Result<(), NoSpace> {
    let spi = spi.get().to_be_bytes();
    let mut methods = heapless::Vec::<Transform, { MAX_GROUPS + 1 }>::new();
    if let Some(first) = exchange {
        let others = groups(suites).into_iter().filter(|group| *group != first);
        methods.extend(core::iter::once(first).chain(others).map(|g| transform(TransformType::KE, g.id())));
    }
    let proposals = (1..=u8::MAX).zip(esp_algorithms(suites)).map(|(number, algorithm)| Proposal {
        number,
        protocol: Protocol::ESP,
        spi: &spi,
        transforms: esp_transforms(algorithm, methods.clone().into_iter().chain([true, false].map(sequence))),
    });
    sa::write(proposals, writer)
}

/// Answers with what was chosen.
pub(crate) fn answer_esp(choice: &EspChoice, spi: Spi, writer: &mut Writer<'_>) -> Result<(), NoSpace> {
    let spi = spi.get().to_be_bytes();
    let exchange = choice.group.map(|group| transform(TransformType::KE, group.id()));
    let others = exchange.into_iter().chain([sequence(choice.extended_sequence)]);
    let transforms = esp_transforms(choice.algorithm, others);
    sa::write([Proposal { number: choice.number, protocol: Protocol::ESP, spi: &spi, transforms }], writer)
}

/// The best of our ciphers that the peer offers.
pub(crate) fn choose_esp(offer: &SaView<'_>, suites: &[Suite], pfs: Pfs) -> Result<EspChoice, Mismatch> {
    for algorithm in esp_algorithms(suites) {
        for extended_sequence in [true, false] {
            let wanted = esp_transforms(algorithm, [sequence(extended_sequence)]);
            let fits =
                |p: &ProposalView<'_>| is_for_esp(p, algorithm, pfs) && differs(p, wanted.clone()).is_none();
            let Some(proposal) = offer.proposals().find(fits) else {
                continue;
            };
            if let (Some(outbound), Some(group)) =
                (proposal.child_spi().and_then(Spi::new), pfs.group(&proposal))
            {
                let number = proposal.number;
                return Ok(EspChoice { number, algorithm, extended_sequence, group, outbound });
            }
        }
    }
    let wanted = suites.first().into_iter().flat_map(|suite| esp_transforms(suite.esp, [sequence(true)]));
    Err(describe(offer, wanted))
}

fn is_for_esp(proposal: &ProposalView<'_>, algorithm: Algorithm, pfs: Pfs) -> bool {
    let is_single =
        additional(proposal, None).is_some_and(|transforms| transforms.iter().all(Option::is_none));
    let is_usable = is_usable(proposal, algorithm);
    proposal.protocol == Protocol::ESP && is_single && is_usable && pfs.group(proposal).is_some()
}

/// What an answer to our offer takes; `None` unless it is exactly one of ours.
pub(crate) fn accept_esp(
    answer: &SaView<'_>,
    suites: &[Suite],
    exchange: Option<Group>,
) -> Option<EspChoice> {
    let proposal = only(answer)?;
    let algorithm = esp_algorithms(suites).nth(usize::from(proposal.number).checked_sub(1)?)?;
    let outbound = proposal.child_spi().and_then(Spi::new).filter(|_| proposal.protocol == Protocol::ESP)?;
    let method = exchange.map(|group| transform(TransformType::KE, group.id()));
    let extended_sequence = [true, false].into_iter().find(|extended| {
        is_exactly(&proposal, esp_transforms(algorithm, method.into_iter().chain([sequence(*extended)])))
    })?;
    Some(EspChoice { number: proposal.number, algorithm, extended_sequence, group: exchange, outbound })
}
