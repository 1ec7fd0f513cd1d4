//! How many questions clients may ask in a second, each of them and all together, and how many we do.
//! Beyond the table clients share one count, so nobody gains by taking many addresses; of IPv6 a network of
//! 64 bits counts as one client.

use core::net::IpAddr;

use esp_engine::time::Instant;

use super::settings::Settings;
use crate::pace::Pace;

/// Clients that are counted apart.
const CLIENTS: usize = 16;

/// All counts.
#[derive(Debug)]
pub(super) struct Paces {
    clients: heapless::Vec<(u64, Pace), CLIENTS>,
    others: Pace,
    all: Pace,
    own: Pace,
}

impl Paces {
    pub(super) const fn new() -> Self {
        Self { clients: heapless::Vec::new(), others: Pace::new(), all: Pace::new(), own: Pace::new() }
    }

    /// Whether this client may ask now; then it does.
    pub(super) fn admits(&mut self, now: Instant, client: IpAddr, settings: &Settings<'_>) -> bool {
        if self.all.is_spent(now, settings.clients_pace) {
            return false;
        }
        let pace = self.of(now, network(client));
        if pace.is_spent(now, settings.client_pace) {
            return false;
        }
        pace.spend(now);
        self.all.spend(now);
        true
    }

    /// Whether we may ask a question of our own now; then we do.
    pub(super) fn take_own(&mut self, now: Instant, settings: &Settings<'_>) -> bool {
        let free = !self.own.is_spent(now, settings.own_pace);
        if free {
            self.own.spend(now);
        }
        free
    }

    fn of(&mut self, now: Instant, client: u64) -> &mut Pace {
        if !self.clients.iter().any(|(known, _)| *known == client) {
            if self.clients.is_full() {
                // Nobody who asked within this second is forgotten.
                self.clients.retain(|(_, pace)| pace.is_spent(now, 1));
            }
            let _ = self.clients.push((client, Pace::new()));
        }
        let known = self.clients.iter_mut().find(|(known, _)| *known == client);
        known.map_or(&mut self.others, |(_, pace)| pace)
    }
}

fn network(client: IpAddr) -> u64 {
    match client {
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        IpAddr::V6(v6) => {
            let [a, b, c, d, e, f, g, h, ..] = v6.octets();
            u64::from_be_bytes([a, b, c, d, e, f, g, h])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings<'_> =
        Settings { client_pace: 10, clients_pace: 200, own_pace: 3, ..Settings::DEFAULT };

    fn admitted(paces: &mut Paces, now: u64, clients: impl Iterator<Item = IpAddr>) -> usize {
        let now = Instant::from_millis(now);
        clients.filter(|client| paces.admits(now, *client, &SETTINGS)).count()
    }

    #[test]
    fn one_client_does_not_spend_what_others_have() {
        let mut paces = Paces::new();
        let greedy = || core::iter::repeat_n(IpAddr::from([10, 1, 0, 2]), 10_000);
        assert_eq!(admitted(&mut paces, 5_000, greedy()), 10);
        assert_eq!(admitted(&mut paces, 5_001, core::iter::once([10, 1, 0, 3].into())), 1);
        assert_eq!(admitted(&mut paces, 6_100, greedy()), 10);
    }

    #[test]
    fn many_addresses_gain_nothing() {
        let mut paces = Paces::new();
        let network = (0..10_000_u16).map(|n| IpAddr::from([0x2001, 0xdb8, 0, n, 0, 0, 0, 1]));
        assert!(admitted(&mut paces, 5_000, network) <= (CLIENTS + 1) * 10);
        let mut paces = Paces::new();
        let one_network = (0..10_000_u16).map(|n| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, n]));
        assert_eq!(admitted(&mut paces, 5_000, one_network), 10);
    }

    #[test]
    fn our_own_questions_are_few() {
        let mut paces = Paces::new();
        let asked = (0..100).filter(|_| paces.take_own(Instant::from_millis(5_000), &SETTINGS)).count();
        assert_eq!(asked, 3);
    }
}
