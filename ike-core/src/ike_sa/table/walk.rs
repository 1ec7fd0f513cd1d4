//! What a walk over all IKE SAs finds, to hold the indexes against it.

use super::IkeSas;
use crate::ike_sa::{IkeSa, State};

impl IkeSas<'_> {
    /// Whether the indexes say just what a walk finds. None may be out of its slot.
    pub(crate) fn agree_with_a_walk(&self) -> bool {
        let slots_where = |is_meant: fn(&IkeSa) -> bool| {
            self.iter().filter(move |(_, sa)| is_meant(sa)).map(|(slot, _)| slot)
        };
        let alarms = self.iter().filter_map(|(slot, sa)| Some((sa.timers.next()?, slot)));
        let free = || (0..self.capacity()).filter(|slot| self.get(*slot).is_none());
        let ended = slots_where(|sa| matches!(sa.state, State::Ended(..)));
        self.next_alarm() == alarms.min()
            && self.vacancies.lowest() == free().min()
            && self.over.first().map(|((), slot)| slot) == slots_where(IkeSa::is_over).min()
            && self.vacant() == free().count() + slots_where(IkeSa::is_over).count()
            && self.first_ended() == ended.min()
            && self.half_open() == slots_where(IkeSa::is_half_open).count()
            && self.iter().all(|(_, sa)| self.finds(sa))
    }

    fn finds(&self, sa: &IkeSa) -> bool {
        let remote = sa.path.peer();
        let at = self.iter().filter(|(_, other)| other.path.peer() == remote).map(|(slot, _)| slot);
        if !self.at(remote).map(|(slot, _)| slot).eq(at) {
            return false;
        }
        let Some(established) = sa.established() else {
            return true;
        };
        let others = || self.iter().filter_map(|(_, other)| Some((other, other.established()?)));
        let with = others().filter(|(_, other)| other.who().is_same(&established.who()));
        let of_entry = others().filter(|(_, other)| other.peer == established.peer);
        self.with(established.who()).map(IkeSa::own_spi).eq(with.map(|(other, _)| other.own_spi()))
            && self.of_entry(established.peer).count() == of_entry.count()
    }
}
