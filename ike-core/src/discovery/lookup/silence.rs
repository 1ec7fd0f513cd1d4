//! What does not come: answers in time, or answers from whom was asked.

use super::super::outcome::{Indeterminate, Security};
use super::super::output::Discarded;
use super::{ASKS, Ask, Lookup, Means, Trust};

impl Lookup {
    /// Somebody who did not see the question answered it, or a server that is not what it was.
    pub(crate) fn handle_stray(&mut self, place: usize, reason: Discarded) {
        let Some(place) = self.asks.get_mut(place) else { return };
        let over_tcp = place.as_mut().is_some_and(|ask| match reason {
            Discarded::WrongId => ask.is_guessed_at(),
            Discarded::WrongCase => ask.is_misspelt(),
            Discarded::NoCookie => true,
            _ => false,
        });
        if over_tcp {
            *place = place.take().map(Ask::over_tcp);
        }
    }

    /// Nobody answered this query.
    pub(crate) fn handle_silence<C>(&mut self, place: usize, means: &mut Means<'_, '_, C>) {
        let Some(Some(ask)) = self.asks.get_mut(place) else { return };
        if ask.is_unsent() {
            return;
        }
        means.servers.unanswered(ask.server, means.now);
        let is_over = !ask.try_again() || self.trust == Trust::ServersWord && ask.is_tcp();
        if is_over {
            let reason = ask.reason().unwrap_or(Security::Indeterminate(Indeterminate::NoAnswer));
            self.fail(place, reason, means);
        }
    }

    /// Time has passed.
    pub(crate) fn handle_timeout<C>(&mut self, means: &mut Means<'_, '_, C>) {
        if means.now >= self.deadline {
            let reason = self.asks.iter().flatten().find_map(Ask::reason);
            return self.end(reason.unwrap_or(Security::Indeterminate(Indeterminate::OutOfTime)));
        }
        for place in 0..ASKS {
            let over = |ask: &Ask| ask.sent.as_ref().is_some_and(|sent| sent.until <= means.now);
            if self.asks.get(place).and_then(Option::as_ref).is_some_and(over) {
                self.handle_silence(place, means);
            }
        }
    }
}
