//! Harness of the tests: two endpoints in virtual time ([`pair::Pair`]) over a seeded link that loses,
//! doubles, delays and spoils datagrams ([`link::Link`]), with NATs in front of either ([`nat_box`]); an
//! attacker's workshop ([`forge`]) and the scenes that it begins with ([`stage`]); every order of events on
//! the real code ([`explore`]). What DNS says to both ends is in [`zone`]; zones to be validated are made by
//! [`signed_zone`].

pub mod dns;
pub mod explore;
pub mod forge;
pub mod fuzz;
pub mod link;
pub mod nat_box;
pub mod pair;
pub mod parties;
pub mod plane;
pub mod signed_zone;
pub mod stage;
pub mod zone;
