//! Transport mode through NATs (RFC 7296 §2.23.1). The two ends call each other by addresses that the
//! other does not see, so each takes the addresses that IKE's own datagrams show in place of those in
//! the traffic selectors, before it uses them for anything. Both roles follow the same rule, seen from
//! their own side:
//!
//! | behind a NAT | client, in the answer | server, in the request |
//! |---|---|---|
//! | client | TSi becomes our address | TSi becomes the peer's |
//! | server | TSr becomes the peer's address | TSr becomes ours |

use core::net::IpAddr;

use esp_engine::selector::{AddressRange, TrafficSelector};

use crate::ike_sa::nat::Nat;
use crate::output::Path;

/// What takes the place of the addresses in traffic selectors.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Substitution {
    /// In those of our own side.
    local: Option<IpAddr>,
    /// In those of the peer's side.
    remote: Option<IpAddr>,
}

impl Substitution {
    /// For a Child SA in transport mode.
    pub(crate) fn new(nat: Nat, path: &Path) -> Self {
        Self { local: nat.local.then(|| path.local.ip()), remote: nat.remote.then(|| path.peer()) }
    }

    /// Whether it changes anything.
    pub(crate) fn is_needed(&self) -> bool {
        *self != Self::default()
    }

    /// Selectors of our own side.
    pub(crate) fn local<T>(&self, selectors: T) -> impl Iterator<Item = TrafficSelector>
    where
        T: Iterator<Item = TrafficSelector> + Clone,
    {
        substitute(self.local, selectors)
    }

    /// Selectors of the peer's side.
    pub(crate) fn remote<T>(&self, selectors: T) -> impl Iterator<Item = TrafficSelector>
    where
        T: Iterator<Item = TrafficSelector> + Clone,
    {
        substitute(self.remote, selectors)
    }
}

/// Selectors that name more than one address are none of transport mode, and stay as they are.
fn substitute<T>(address: Option<IpAddr>, selectors: T) -> impl Iterator<Item = TrafficSelector>
where
    T: Iterator<Item = TrafficSelector> + Clone,
{
    let named = only_address(selectors.clone());
    let address = address.filter(|seen| named.is_some_and(|named| named.is_ipv4() == seen.is_ipv4()));
    selectors.map(move |ts| TrafficSelector {
        addresses: address.map_or(ts.addresses, AddressRange::single),
        ..ts
    })
}

/// The one address of all selectors, if there is but one.
fn only_address(selectors: impl Iterator<Item = TrafficSelector>) -> Option<IpAddr> {
    let mut addresses = selectors.map(|ts| ts.addresses);
    let first = addresses.next()?;
    (first.is_single() && addresses.all(|other| other == first)).then_some(first.first())
}

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, SocketAddr};

    use super::*;

    /// The client's own address.
    const IP1: Ipv4Addr = Ipv4Addr::new(10, 1, 2, 3);
    /// The client as the server sees it.
    const IPN1: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
    /// The server as the client sees it.
    const IPN2: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
    /// The server's own address.
    const IP2: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 2);

    fn path(local: Ipv4Addr, remote: Ipv4Addr) -> Path {
        let end = |ip: Ipv4Addr| SocketAddr::new(ip.into(), 4500);
        Path { interface: 0, local: end(local), remote: end(remote) }
    }

    fn nat(local: bool, remote: bool) -> Nat {
        Nat { local, remote, pretended: false }
    }

    fn ts(address: Ipv4Addr) -> TrafficSelector {
        TrafficSelector::all(AddressRange::single(address.into()))
    }

    fn applied(mut selectors: impl Iterator<Item = TrafficSelector>) -> TrafficSelector {
        selectors.next().expect("one")
    }

    /// RFC 7296 §2.23.1, for the client proposing transport mode: "If the server is behind a NAT,
    /// substitute the IP address in the TSr entries with the remote address of the IKE SA. If the client
    /// is behind a NAT, substitute the IP address in the TSi entries with the local address."
    #[test]
    fn rules_for_the_client() {
        let ike = path(IP1, IPN2);
        for (client, server, received, used) in [
            (true, true, (IPN1, IP2), (IP1, IPN2)),
            (true, false, (IPN1, IPN2), (IP1, IPN2)),
            (false, true, (IP1, IP2), (IP1, IPN2)),
            (false, false, (IP1, IPN2), (IP1, IPN2)),
        ] {
            let rule = Substitution::new(nat(client, server), &ike);
            let (tsi, tsr) = ([ts(received.0)].into_iter(), [ts(received.1)].into_iter());
            assert_eq!((applied(rule.local(tsi)), applied(rule.remote(tsr))), (ts(used.0), ts(used.1)));
        }
    }

    /// RFC 7296 §2.23.1, for the responder: "If the client is behind a NAT, substitute the IP address in
    /// the TSi entries with the remote address of the IKE SA. If the server is behind a NAT, substitute
    /// the IP address in the TSr entries with the local address of the IKE SA."
    #[test]
    fn rules_for_the_responder() {
        let ike = path(IP2, IPN1);
        for (client, server, received, used) in [
            (true, true, (IP1, IPN2), (IPN1, IP2)),
            (true, false, (IP1, IP2), (IPN1, IP2)),
            (false, true, (IPN1, IPN2), (IPN1, IP2)),
            (false, false, (IPN1, IP2), (IPN1, IP2)),
        ] {
            let rule = Substitution::new(nat(server, client), &ike);
            let (tsi, tsr) = ([ts(received.0)].into_iter(), [ts(received.1)].into_iter());
            assert_eq!((applied(rule.remote(tsi)), applied(rule.local(tsr))), (ts(used.0), ts(used.1)));
        }
    }

    /// RFC 7296 §2.23.1: "The TSi entries MUST have exactly one IP address"; there may be several
    /// entries with it.
    #[test]
    fn only_selectors_of_one_address_are_substituted() {
        let rule = Substitution::new(nat(false, true), &path(IP2, IPN1));
        let bgp = TrafficSelector { protocol: 6, ..ts(IP1) };
        assert!(
            rule.remote([bgp, ts(IP1)].into_iter())
                .eq([TrafficSelector { protocol: 6, ..ts(IPN1) }, ts(IPN1)])
        );
        assert!(rule.remote([ts(IP1), ts(IP2)].into_iter()).eq([ts(IP1), ts(IP2)]));
        let net = TrafficSelector::all(AddressRange::prefix(IP1.into(), 24).expect("short"));
        assert!(rule.remote([net].into_iter()).eq([net]));
        assert!(rule.remote([].into_iter()).eq([]));
    }
}
