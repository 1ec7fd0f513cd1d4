//! What a device is to its network. Each role has its own `network` future, the half that moves
//! packets, and a `run` that joins it with Control in one executor.

pub mod gateway;
pub mod host;

use embassy_futures::select::{Either, select};
use ike_core::config::ConfigError;
use ike_core::discovery::UnixTime;

use core::convert::Infallible;
use core::pin::Pin;

use crate::config::Config;
use crate::management::Management;
use crate::side_by_side::Wakers;

/// What a board hands to a role, apart from its drivers and its memory.
pub struct Board<'a, C, R, S, M> {
    /// What the operator decided; has to have passed its check.
    pub config: &'a Config,
    /// Algorithms.
    pub crypto: C,
    /// Randomness, fit for keys.
    pub rng: R,
    /// Where events go.
    pub sink: S,
    /// What is remembered across restarts.
    pub storage: M,
    /// Where operators ask.
    pub management: &'a Management,
    /// The time of day by a clock that is believed, seconds since 1970 in UTC; without it no signature in DNS
    /// can be judged.
    pub time_of_day: Option<UnixTime>,
    /// A random number for the stack's ports and sequence numbers.
    pub seed: u64,
    /// Wakers for the parts of Network.
    pub wakers: &'static Wakers,
}

/// Both halves in one executor; ends only when key management refuses its configuration.
async fn join(
    network: Pin<&mut impl Future<Output = Infallible>>,
    control: Pin<&mut impl Future<Output = Result<Infallible, ConfigError>>>,
) -> Result<Infallible, ConfigError> {
    match select(network, control).await {
        Either::First(never) => Ok(never),
        Either::Second(result) => result,
    }
}

/// An application that may end, as a part of Network, which does not.
async fn stay(app: impl Future<Output = ()>) -> Infallible {
    app.await;
    core::future::pending().await
}
