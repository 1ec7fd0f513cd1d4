//! What state costs in octets on a 32-bit machine.

use core::mem::size_of;

use cortex_m_semihosting::hprintln;
use esp_engine::crypto::software::SoftwareCipher;
use esp_engine::engine::Engine;
use ike_core::child_sa::CHILD_SA;
use ike_core::crypto::software::Software;
use ike_core::endpoint::Endpoint;
use ike_core::ike_sa::IKE_SA;
use ike_core::resources::MESSAGE;
use rand_chacha::ChaCha20Rng;

use crate::side::{EngineResources, IkeResources};

type Handshakes<const N: usize> = ike_core::resources::Resources<Software, 1, N, 1, 4>;
type Buffers<const N: usize> = ike_core::resources::Resources<Software, 1, 1, 1, N>;
type Slots<const N: usize> = esp_engine::resources::Resources<SoftwareCipher, 1, N, 2>;

/// Prints sizes of what there is one of, and of what there is one more of for each peer.
pub fn print() {
    hprintln!(
        "static octets: endpoint {} and {}, engine {} and {}",
        size_of::<IkeResources>(),
        size_of::<Endpoint<'_, Software, ChaCha20Rng>>(),
        size_of::<EngineResources>(),
        size_of::<Engine<'_, SoftwareCipher>>(),
    );
    hprintln!(
        "octets each: IKE SA {}, handshake {}, Child SA {}, message buffer {} (message {}), pair in the SAD {}",
        IKE_SA,
        size_of::<Handshakes<2>>() - size_of::<Handshakes<1>>(),
        CHILD_SA,
        size_of::<Buffers<5>>() - size_of::<Buffers<4>>(),
        MESSAGE,
        size_of::<Slots<2>>() - size_of::<Slots<1>>(),
    );
}
