//! Harness of the tests: two endpoints in virtual time ([`pair::Pair`]) over a seeded link that loses,
//! doubles, delays and spoils datagrams ([`link::Link`]).

pub mod link;
pub mod pair;
pub mod parties;
