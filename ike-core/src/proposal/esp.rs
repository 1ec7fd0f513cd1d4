//! Negotiation for Child SAs: ciphers, sequence numbers, and key exchanges where the keys do not come from the
//! IKE SA's alone (RFC 7296 §1.3.1). An additional key exchange (RFC 9370 §2.2.4) goes with the groups of
//! the suites that have it, so each has proposals of its own.

use esp_engine::crypto::Algorithm;
use esp_engine::sa::Spi;

use super::additional::{self, AdditionalTransforms};
use super::{
    MAX_GROUPS, Transforms, add, describe, differs, encryption, integrity, is_exactly, is_usable, only,
    transform,
};
use crate::config::Suite;
use crate::crypto::Group;
use crate::error::Mismatch;
use crate::wire::NoSpace;
use crate::wire::code_point::Protocol;
use crate::wire::sa::{self, Proposal, ProposalView, SaView};
use crate::wire::transform::{KeyExchangeMethod, SequenceNumbers, Transform, TransformType};
use crate::wire::writer::Writer;

/// What was agreed for a pair of Child SAs.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct EspChoice {
    /// The proposal's number.
    pub(crate) number: u8,
    pub(crate) algorithm: Algorithm,
    pub(crate) extended_sequence: bool,
    /// The key exchange for fresh keys.
    pub(crate) group: Option<Group>,
    /// One more in IKE_FOLLOWUP_KE.
    pub(crate) additional: Option<Group>,
    additional_transforms: AdditionalTransforms,
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

fn sequence(extended: bool) -> Transform {
    let id = if extended { SequenceNumbers::EXTENDED } else { SequenceNumbers::SHORT };
    transform(TransformType::ESN, id.0)
}

/// The transforms of an algorithm for Child SAs, behind which those of the other types stand.
fn esp_transforms(algorithm: Algorithm, others: impl IntoIterator<Item = Transform>) -> Transforms {
    let mut transforms = Transforms::new();
    add(&mut transforms, [Some(encryption(algorithm)), integrity(algorithm)].into_iter().flatten());
    add(&mut transforms, others);
    transforms
}

/// The suites' ciphers for packets, each once.
fn esp_algorithms(suites: &[Suite]) -> impl Iterator<Item = Algorithm> + '_ {
    let is_first = |index: usize, suite: &Suite| !suites.iter().take(index).any(|s| s.esp == suite.esp);
    suites.iter().enumerate().filter(move |(i, s)| is_first(*i, s)).map(|(_, suite)| suite.esp)
}

/// Additional key exchanges, none among them.
type AdditionalExchanges = heapless::Vec<Option<Group>, { MAX_GROUPS + 1 }>;

/// Those of the suites, each once.
fn additional_exchanges(suites: &[Suite]) -> AdditionalExchanges {
    let mut exchanges = heapless::Vec::new();
    for suite in suites {
        if !exchanges.contains(&suite.additional) {
            // More than these are not offered.
            let _ = exchanges.push(suite.additional);
        }
    }
    exchanges
}

/// The groups of the suites with this additional key exchange, each once, `first` first.
fn groups_beside(
    suites: &[Suite],
    additional: Option<Group>,
    first: Group,
) -> heapless::Vec<Group, MAX_GROUPS> {
    let mut groups = heapless::Vec::<_, MAX_GROUPS>::new();
    for suite in suites.iter().filter(|suite| suite.additional == additional) {
        if !groups.contains(&suite.group) {
            // More than these are not offered.
            let _ = groups.push(suite.group);
        }
    }
    groups.sort_unstable_by_key(|group| *group != first);
    groups
}

/// Our proposals in order: cipher, and additional key exchange where the keys shall be fresh.
fn proposals(
    suites: &[Suite],
    exchange: Option<Group>,
) -> impl Iterator<Item = (Algorithm, Option<Group>)> + '_ {
    let additional = match exchange {
        Some(_) => additional_exchanges(suites),
        None => AdditionalExchanges::from_iter([None]),
    };
    additional.into_iter().flat_map(|additional| esp_algorithms(suites).map(move |a| (a, additional)))
}

/// Offers every cipher with 64-bit sequence numbers and without; with a key exchange all groups, that of our
/// public value first.
pub(crate) fn offer_esp(
    suites: &[Suite],
    spi: Spi,
    exchange: Option<Group>,
    writer: &mut Writer<'_>,
) -> Result<(), NoSpace> {
    let spi = spi.get().to_be_bytes();
    let offered = (1..=u8::MAX).zip(proposals(suites, exchange)).map(|(number, (algorithm, beside))| {
        let groups = exchange.map(|first| groups_beside(suites, beside, first)).unwrap_or_default();
        let groups = groups.into_iter().map(|group| transform(TransformType::KE, group.id()));
        let others = groups.chain(additional::own(beside)).chain([true, false].map(sequence));
        Proposal { number, protocol: Protocol::ESP, spi: &spi, transforms: esp_transforms(algorithm, others) }
    });
    sa::write(offered, writer)
}

/// Answers with what was chosen.
pub(crate) fn answer_esp(choice: &EspChoice, spi: Spi, writer: &mut Writer<'_>) -> Result<(), NoSpace> {
    let spi = spi.get().to_be_bytes();
    let exchange = choice.group.map(|group| transform(TransformType::KE, group.id()));
    let additional = choice.additional_transforms.into_iter().flatten();
    let others = exchange.into_iter().chain(additional).chain([sequence(choice.extended_sequence)]);
    let transforms = esp_transforms(choice.algorithm, others);
    sa::write([Proposal { number: choice.number, protocol: Protocol::ESP, spi: &spi, transforms }], writer)
}

/// The best of our ciphers that the peer offers, with the best of our additional key exchanges. Whoever offers
/// none decides for itself.
pub(crate) fn choose_esp(offer: &SaView<'_>, suites: &[Suite], pfs: Pfs) -> Result<EspChoice, Mismatch> {
    let mut additional =
        if pfs == Pfs::None { AdditionalExchanges::new() } else { additional_exchanges(suites) };
    if !additional.contains(&None) {
        // Without room for it there are others enough.
        let _ = additional.push(None);
    }
    for additional in additional {
        for algorithm in esp_algorithms(suites) {
            for extended_sequence in [true, false] {
                let choose = |p| choose_from(&p, algorithm, extended_sequence, pfs, additional);
                if let Some(choice) = offer.proposals().find_map(choose) {
                    return Ok(choice);
                }
            }
        }
    }
    let wanted = suites.first().map(|suite| esp_transforms(suite.esp, [sequence(true)]));
    Err(describe(offer, &wanted.unwrap_or_default()))
}

fn choose_from(
    proposal: &ProposalView<'_>,
    algorithm: Algorithm,
    extended_sequence: bool,
    pfs: Pfs,
    additional: Option<Group>,
) -> Option<EspChoice> {
    let wanted = esp_transforms(algorithm, [sequence(extended_sequence)]);
    let is_ours = proposal.protocol == Protocol::ESP && is_usable(proposal, algorithm);
    let additional_transforms = additional::choose(proposal, additional)?;
    let group = pfs.group(proposal)?;
    // It stands beside another (RFC 9370 §2.2.1, §2.2.4).
    let is_beside = additional.is_none() || group.is_some_and(|group| Some(group) != additional);
    let outbound = proposal.child_spi().and_then(Spi::new)?;
    let number = proposal.number;
    (is_ours && is_beside && differs(proposal, &wanted).is_none()).then_some(EspChoice {
        number,
        algorithm,
        extended_sequence,
        group,
        additional,
        additional_transforms,
        outbound,
    })
}

/// What an answer to our offer takes; `None` unless it is exactly one of ours.
pub(crate) fn accept_esp(
    answer: &SaView<'_>,
    suites: &[Suite],
    exchange: Option<Group>,
) -> Option<EspChoice> {
    let proposal = only(answer)?;
    let place = usize::from(proposal.number).checked_sub(1)?;
    let (algorithm, additional) = proposals(suites, exchange).nth(place)?;
    let outbound = proposal.child_spi().and_then(Spi::new).filter(|_| proposal.protocol == Protocol::ESP)?;
    if exchange.is_some_and(|group| !groups_beside(suites, additional, group).contains(&group)) {
        return None;
    }
    let method = exchange.map(|group| transform(TransformType::KE, group.id()));
    let own = || method.into_iter().chain(additional::own(additional));
    let extended_sequence = [true, false].into_iter().find(|extended| {
        is_exactly(&proposal, &esp_transforms(algorithm, own().chain([sequence(*extended)])))
    })?;
    Some(EspChoice {
        number: proposal.number,
        algorithm,
        extended_sequence,
        group: exchange,
        additional,
        additional_transforms: additional::choose(&proposal, additional)?,
        outbound,
    })
}
