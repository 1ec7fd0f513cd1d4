//! The product as a library: two halves around the IKE core and the ESP engine, generic over driver,
//! cryptography and random numbers, without heap or operating system.
//!
//! ```text
//!    Control: thinks (seconds)                        Network: moves packets (one at a time)
//!  ┌──────────────────────────────┐  Command ▶  ┌──────────────────────────────────────────┐
//!  │ ike_core::Endpoint           │  Install    │ embassy-net stack: app, UDP 500 and 4500 │
//!  │ management, last reasons     │  Transmit   │        ⇅ frames                          │
//!  │ report::Sink of the board    │             │ role: adapter or forwarding path         │
//!  └──────────────────────────────┘  ◀ Report   │        ⇅ esp_engine::Engine              │
//!                                     Acquire   │ driver(s) of the board                   │
//!                                     Datagram  └──────────────────────────────────────────┘
//! ```
//! [`control::run`] and a role's `network` ([`role::host::network`], [`role::gateway::network`]) are
//! one future each, joined by [`queue::Queues`]. Where one executor is enough a board awaits
//! [`role::host::run`] or [`role::gateway::run`], which join both:
//!
//! ```ignore
//! let config = Config::load(&flash)?;
//! config.check()?;
//! let board = Board { config: &config, crypto, rng, sink, storage, management: &MANAGEMENT, seed, wakers: &WAKERS };
//! match config.role {
//!     Role::Host => host::run(board, driver, memory, key_management, async |stack| app(stack).await).await?,
//!     Role::Gateway => gateway::run(board, [outside, inside], memory, key_management, async |_| {}).await?,
//! }
//! ```
//! Where a signature must not delay packets, `network` runs in an interrupt executor and
//! `control::run` in thread mode, with `Queues` in a `static`. Tasks cannot be generic, so the
//! `#[task]`s are the board's.
//!
//! | module | what |
//! |---|---|
//! | [`config`] | what an operator decides; checked, stored, translated for both cores |
//! | [`network`], [`control`], [`queue`] | the halves and the words between them |
//! | [`role`] | host and gateway |
//! | [`report`], [`management`] | what the board may show, what an operator may ask |
//! | [`storage`] | what is remembered across restarts |
//! | [`clock`], [`side_by_side`] | time for the cores, wakers for the parts of Network |
#![no_std]
#![deny(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod clock;
pub mod config;
pub mod control;
mod dhcp;
pub mod management;
pub mod network;
pub mod queue;
pub mod report;
pub mod role;
#[expect(unsafe_code, reason = "a waker's table can be had in no other way without a heap")]
pub mod side_by_side;
pub mod storage;
