//! Traffic selector narrowing (RFC 7296 §2.9): the responder takes what lies in the offer, in its own
//! policy and in what the peer may speak for. The initiator checks that nothing was widened.

use esp_engine::selector::{AddressRange, TrafficSelector, TrafficSelectors};

/// What is left of an offer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Narrowed {
    /// At most as many selectors as an SA has; empty when nothing is left.
    pub(crate) selectors: TrafficSelectors,
    /// Parts of the offer had to go although they were acceptable (ADDITIONAL_TS_POSSIBLE).
    pub(crate) more: bool,
}

/// What the offer, the policy and the allowed addresses have in common, the offer's first selector
/// first.
pub(crate) fn narrow(
    offer: impl Iterator<Item = TrafficSelector>,
    policy: &[TrafficSelector],
    allowed: &[AddressRange],
) -> Narrowed {
    let mut narrowed = Narrowed::default();
    for offered in offer {
        for part in policy.iter().filter_map(|own| own.intersect(&offered)) {
            for range in allowed {
                if let Some(addresses) = part.addresses.intersect(range) {
                    narrowed.add(TrafficSelector { addresses, ..part });
                }
            }
        }
    }
    narrowed
}

impl Narrowed {
    fn add(&mut self, selector: TrafficSelector) {
        if self.selectors.iter().any(|other| other.covers(&selector)) {
            return;
        }
        // A wider one takes the place of those that it covers.
        self.selectors.retain(|other| !selector.covers(other));
        self.more |= self.selectors.push(selector).is_err();
    }
}

/// Whether every selector of `answer` lies in one of `offer`; an empty answer is none.
pub(crate) fn is_subset(answer: &[TrafficSelector], offer: &[TrafficSelector]) -> bool {
    !answer.is_empty() && answer.iter().all(|ts| offer.iter().any(|offered| offered.covers(ts)))
}

/// Whether both lists have packets in common.
pub(crate) fn overlap(a: &[TrafficSelector], b: &[TrafficSelector]) -> bool {
    a.iter().any(|one| b.iter().any(|other| one.intersect(other).is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{IpAddr, Ipv4Addr};
    use esp_engine::selector::PortRange;

    fn net(d: u8, length: u8) -> AddressRange {
        AddressRange::prefix(IpAddr::V4(Ipv4Addr::new(10, 0, 0, d)), length).expect("short")
    }

    fn tcp(addresses: AddressRange, port: u16) -> TrafficSelector {
        TrafficSelector { protocol: 6, ports: PortRange::single(port), addresses }
    }

    /// RFC 7296 §2.9: the answer is a subset of the offer, of the policy and of what is allowed.
    #[test]
    fn answer_is_what_all_have_in_common() {
        let offer = [TrafficSelector::all(net(0, 24))];
        let narrowed = narrow(offer.into_iter(), &[tcp(net(0, 16), 179)], &[net(8, 29)]);
        assert_eq!(narrowed.selectors.as_slice(), [tcp(net(8, 29), 179)]);
        assert!(!narrowed.more);
        assert!(is_subset(&narrowed.selectors, &offer));
        assert!(!is_subset(&offer, &narrowed.selectors));
    }

    /// RFC 7296 §2.9: the packet's own selector, offered first, is part of the answer.
    #[test]
    fn packets_selector_is_covered() {
        let packet = tcp(net(9, 32), 179);
        let offer = [packet, TrafficSelector::all(net(0, 24))];
        let narrowed = narrow(offer.into_iter(), &[TrafficSelector::all(net(8, 29))], &[net(0, 8)]);
        assert_eq!(narrowed.selectors.as_slice(), [TrafficSelector::all(net(8, 29))]);
    }

    /// RFC 7296 §2.9: nothing in common leaves nothing.
    #[test]
    fn nothing_in_common_leaves_nothing() {
        let offer = || [TrafficSelector::all(net(0, 24))].into_iter();
        let all = [TrafficSelector::all(net(0, 8))];
        assert!(narrow(offer(), &all, &[]).selectors.is_empty());
        assert!(
            narrow(offer(), &all, &[AddressRange::single(Ipv4Addr::new(192, 0, 2, 1).into())])
                .selectors
                .is_empty()
        );
        assert!(!is_subset(&[], &all));
    }

    /// RFC 7296 §3.10.1: what does not fit is announced by ADDITIONAL_TS_POSSIBLE.
    #[test]
    fn more_than_fits_is_announced() {
        let offer = [tcp(net(1, 32), 1), tcp(net(2, 32), 2), tcp(net(3, 32), 3)];
        let narrowed = narrow(offer.into_iter(), &[TrafficSelector::all(net(0, 24))], &[net(0, 8)]);
        assert_eq!(narrowed.selectors.as_slice(), offer.get(..2).expect("two"));
        assert!(narrowed.more);
    }
}
