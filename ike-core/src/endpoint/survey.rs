//! What a look over all IKE SAs finds. The look takes the longer the more there are, and a stranger's first message,
//! whose address may be spoofed, must not cost it (RFC 7296 §2.6): so what was found is good until an input
//! that can change an IKE SA or a Child SA.

use esp_engine::time::Instant;

use super::Endpoint;
use crate::crypto::Crypto;
use crate::ike_sa::IkeSa;

/// What was found when there was nothing more to say.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Survey {
    /// When the next timer fires.
    pub(super) alarm: Option<Instant>,
    half_open: usize,
}

impl<C: Crypto, R> Endpoint<'_, C, R> {
    /// From here on SAs may change.
    pub(crate) fn stir(&mut self) {
        self.desk.survey = None;
    }

    /// Looks over all IKE SAs. Nothing may be left to be said.
    pub(super) fn survey(&mut self) -> Survey {
        let timers = self.sas.iter().flatten().filter_map(|sa| sa.timers.next());
        let survey = Survey {
            alarm: timers
                .chain(self.children.next_drained())
                .chain(self.names.next(&self.desk.lookups))
                .min(),
            half_open: self.count_half_open(),
        };
        self.desk.survey = Some(survey);
        survey
    }

    /// How many IKE SAs have not shown yet that they are worth their place.
    pub(crate) fn half_open(&self) -> usize {
        self.desk.survey.map_or_else(|| self.count_half_open(), |survey| survey.half_open)
    }

    fn count_half_open(&self) -> usize {
        self.sas.iter().flatten().filter(|sa| IkeSa::is_half_open(sa)).count()
    }
}

/// It follows from the rest.
#[cfg(feature = "explore")]
impl core::hash::Hash for Survey {
    fn hash<H: core::hash::Hasher>(&self, _: &mut H) {}
}
