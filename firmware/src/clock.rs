//! The cores' [`Instant`] from embassy's clock: milliseconds since the device started. No time of day
//! is needed anywhere.

use esp_engine::time::Instant;

/// Now.
pub fn now() -> Instant {
    Instant::from_millis(embassy_time::Instant::now().as_millis())
}

/// Resolves at `moment`, or never.
pub async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => embassy_time::Timer::at(embassy_time::Instant::from_millis(moment.as_millis())).await,
        None => core::future::pending().await,
    }
}
