//! How an endpoint comes to live in its resources.

use rand_core::TryCryptoRng;

use super::{Endpoint, remembered};
use crate::child_sa::Children;
use crate::config::{Config, ConfigError};
use crate::crypto::{Crypto, Signer};
use crate::ike_sa::table::IkeSas;
use crate::names::Names;
use crate::pad::Authentication;
use crate::random::Random;
use crate::remembered::Memory;
use crate::resources::{Buffers, Reassemblies, Resources};

impl<'r, C: Crypto, R: TryCryptoRng> Endpoint<'r, C, R> {
    /// An endpoint that lives in `resources`, whatever lay there before.
    ///
    /// # Errors
    /// [`ConfigError`], the first reason why it could not work.
    pub fn new<
        const IKE_SAS: usize,
        const HANDSHAKES: usize,
        const CHILD_SAS: usize,
        const BUFFERS: usize,
        const REASSEMBLIES: usize,
        const NAMES: usize,
        const REMEMBERED: usize,
    >(
        config: &'r Config<'r>,
        resources: &'r mut Resources<
            C,
            IKE_SAS,
            HANDSHAKES,
            CHILD_SAS,
            BUFFERS,
            REASSEMBLIES,
            NAMES,
            REMEMBERED,
        >,
        crypto: C,
        rng: R,
    ) -> Result<Self, ConfigError> {
        resources.clear();
        Self::over(config, resources, crypto, rng)
    }

    /// An endpoint that goes on with what another left in `resources`, or in a copy of them.
    ///
    /// # Errors
    /// [`ConfigError`], the first reason why it could not work.
    #[cfg(feature = "explore")]
    pub fn attach<
        const IKE_SAS: usize,
        const HANDSHAKES: usize,
        const CHILD_SAS: usize,
        const BUFFERS: usize,
        const REASSEMBLIES: usize,
        const NAMES: usize,
        const REMEMBERED: usize,
    >(
        config: &'r Config<'r>,
        resources: &'r mut Resources<
            C,
            IKE_SAS,
            HANDSHAKES,
            CHILD_SAS,
            BUFFERS,
            REASSEMBLIES,
            NAMES,
            REMEMBERED,
        >,
        crypto: C,
        rng: R,
    ) -> Result<Self, ConfigError> {
        Self::over(config, resources, crypto, rng)
    }

    fn over<
        const IKE_SAS: usize,
        const HANDSHAKES: usize,
        const CHILD_SAS: usize,
        const BUFFERS: usize,
        const REASSEMBLIES: usize,
        const NAMES: usize,
        const REMEMBERED: usize,
    >(
        config: &'r Config<'r>,
        resources: &'r mut Resources<
            C,
            IKE_SAS,
            HANDSHAKES,
            CHILD_SAS,
            BUFFERS,
            REASSEMBLIES,
            NAMES,
            REMEMBERED,
        >,
        crypto: C,
        rng: R,
    ) -> Result<Self, ConfigError> {
        const {
            assert!(IKE_SAS > 0 && HANDSHAKES > 0 && CHILD_SAS > 0 && BUFFERS > 3);
            assert!(
                IKE_SAS <= 0xFFFF
                    && HANDSHAKES <= 0xFF
                    && REMEMBERED <= 0xFF
                    && CHILD_SAS <= 0xFFFF
                    && BUFFERS <= 0xFF
            );
        }
        config.check()?;
        let remembers_strangers =
            config.pad.iter().any(|entry| matches!(entry.authentication, Authentication::FirstUse { .. }));
        let has_no_room = remembers_strangers && REMEMBERED <= remembered::names(config).count();
        if config.names_needed() > NAMES || has_no_room {
            return Err(ConfigError::Resources);
        }
        let signer = match &config.key {
            Some(key) => Some(crypto.signer(key).map_err(|_| ConfigError::BadKey)?),
            None => None,
        };
        let own_key = signer.as_ref().map(Signer::public_key);
        for (id, entry) in config.entries() {
            if let (Authentication::Pinned(keys), Some(own)) = (&entry.authentication, &own_key)
                && keys.contains(own)
            {
                return Err(ConfigError::OwnKeyPinned(id));
            }
        }
        Ok(Self {
            config,
            crypto,
            random: Random::new(rng),
            signer,
            own_key,
            sas: IkeSas::new(&mut resources.ike_sas),
            handshakes: &mut resources.handshakes,
            children: Children::new(&mut resources.children),
            buffers: Buffers::new(&mut resources.buffers),
            names: Names::new(&mut resources.names),
            memory: Memory::new(&mut resources.remembered),
            reassemblies: Reassemblies::new(&mut resources.reassemblies, config.timing.half_open),
            draft: &mut resources.draft,
            outbox: &mut resources.outbox,
            desk: &mut resources.desk,
        })
    }
}
