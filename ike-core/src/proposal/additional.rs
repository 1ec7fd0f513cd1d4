//! Additional key exchanges in proposals (RFC 9370 §2.2.1): seven places of which we fill one.

use super::transform;
use crate::crypto::Group;
use crate::wire::sa::ProposalView;
use crate::wire::transform::{KeyExchangeMethod, Transform, TransformType};

/// One transform for each type of additional key exchange that the proposal has.
pub(super) type AdditionalTransforms = [Option<Transform>; TransformType::ADDITIONAL.len()];

/// What of a proposal's additional key exchanges is to be taken: the one that is wanted, whichever its place,
/// and NONE for the others. `None` when that is not offered.
pub(super) fn choose(proposal: &ProposalView<'_>, mut wanted: Option<Group>) -> Option<AdditionalTransforms> {
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
pub(super) fn own(group: Option<Group>) -> Option<Transform> {
    group.map(|group| transform(TransformType::ADDKE1, group.id()))
}
