//! Flows that policy protects and that no SA serves yet (RFC 4301 §4.4.1, "create a new SA"): each is
//! told to key management once a second at most, merged with itself, and forgotten only after it was
//! told.

use core::time::Duration;

use crate::selector::Selectors;
use crate::spd::PolicyId;
use crate::time::Instant;

/// Flows that are remembered at once.
const FLOWS: usize = 16;
/// A flow that still lacks its SA is told again after this time.
const AGAIN: Duration = Duration::from_secs(1);

/// Flows without an SA.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Acquires {
    flows: heapless::Vec<Flow, FLOWS, u8>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Flow {
    policy: PolicyId,
    packet: Selectors,
    asked: Instant,
    untold: bool,
}

/// Every place is taken by a flow that was not told yet.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Postponed;

impl Acquires {
    pub(crate) const fn new() -> Self {
        Self { flows: heapless::Vec::new() }
    }

    /// Asks for an SA for the flow of `packet`.
    pub(crate) fn ask(&mut self, now: Instant, policy: PolicyId, packet: Selectors) -> Result<(), Postponed> {
        let known = self.flows.iter_mut().find(|f| f.policy == policy && f.packet == packet);
        if let Some(flow) = known {
            if !flow.untold && now.since(flow.asked) >= AGAIN {
                flow.asked = now;
                flow.untold = true;
            }
            return Ok(());
        }
        if self.flows.is_full() {
            let oldest = self.flows.iter().position(|flow| !flow.untold).ok_or(Postponed)?;
            self.flows.remove(oldest);
        }
        self.flows.push(Flow { policy, packet, asked: now, untold: true }).map_err(|_| Postponed)
    }

    /// The next flow to tell.
    pub(crate) fn next(&mut self) -> Option<(PolicyId, Selectors)> {
        let flow = self.flows.iter_mut().find(|flow| flow.untold)?;
        flow.untold = false;
        Some((flow.policy, flow.packet))
    }

    /// An SA of `policy` went away: its flows may ask at once.
    pub(crate) fn forget(&mut self, policy: PolicyId) {
        self.flows.retain(|flow| flow.untold || flow.policy != policy);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::Ports;

    const POLICY: PolicyId = PolicyId(2);

    fn flow(port: u16) -> Selectors {
        let ports = Ports::Known { source: port, destination: 179 };
        Selectors { source: [1; 4].into(), destination: [2; 4].into(), protocol: 6, ports }
    }

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn one_flow_is_told_once_a_second() {
        let mut acquires = Acquires::new();
        for (ms, told) in [(0, true), (1, false), (999, false), (1000, true), (1999, false), (2000, true)] {
            acquires.ask(at(ms), POLICY, flow(1)).unwrap();
            assert_eq!(acquires.next(), told.then_some((POLICY, flow(1))), "{ms}");
        }
    }

    #[test]
    fn untold_flows_are_never_pushed_out() {
        let mut acquires = Acquires::new();
        for port in 0..FLOWS as u16 {
            acquires.ask(at(0), POLICY, flow(port)).unwrap();
            acquires.ask(at(0), POLICY, flow(port)).unwrap();
        }
        assert_eq!(acquires.ask(at(0), POLICY, flow(99)), Err(Postponed));
        assert_eq!(acquires.next(), Some((POLICY, flow(0))));
        assert_eq!(acquires.ask(at(0), POLICY, flow(99)), Ok(()));
        let told = core::iter::from_fn(|| acquires.next()).count();
        assert_eq!(told, FLOWS);
    }

    #[test]
    fn forgotten_flows_ask_at_once() {
        let mut acquires = Acquires::new();
        acquires.ask(at(0), POLICY, flow(1)).unwrap();
        acquires.next();
        acquires.forget(PolicyId(0));
        acquires.ask(at(1), POLICY, flow(1)).unwrap();
        assert_eq!(acquires.next(), None);
        acquires.forget(POLICY);
        acquires.ask(at(2), POLICY, flow(1)).unwrap();
        assert_eq!(acquires.next(), Some((POLICY, flow(1))));
    }
}
