//! Why a name is not published, in sentences that a person can act on.

use std::net::SocketAddr;

use ike_core::discovery::update::{Config, Failure, Hint};

/// RFC 2136 §2.2.
const NOTAUTH: u8 = 9;

/// Why an update of this name at this server came to nothing, and what to do.
pub fn sentence(failure: Failure, config: &Config, server: SocketAddr) -> String {
    let Config { zone, name, key } = config;
    let key = key.name();
    match failure {
        Failure::NoAnswer { hint: None } => format!(
            "{server} does not answer: is it the primary server of {zone}, and are UDP and TCP to it let through?"
        ),
        Failure::NoAnswer { hint: Some(hint) } => {
            let hint = match hint {
                Hint::UnknownKey => {
                    format!(
                        "it has no key {key} that may change {name}: look at its keys and what they may do"
                    )
                }
                Hint::OtherSecret => {
                    format!(
                        "its secret for {key} is not ours: compare both files, and make a new key if in doubt"
                    )
                }
                Hint::Rcode(NOTAUTH) => format!("it is not the primary server of {zone}"),
                Hint::Rcode(rcode) => rcode_text(rcode),
            };
            format!(
                "no signed answer from {server}; an unsigned one, which anybody may have sent, says: {hint}"
            )
        }
        Failure::Server { rcode } => {
            format!("{server} cannot change {zone} now ({}): look into its log", rcode_text(rcode))
        }
        Failure::Refused => format!(
            "{server} does not let the key {key} change {name}: its policy has to name this key with this name \
             and A, AAAA and IPSECKEY, and for fingerprints _500._udp.{name} with TLSA"
        ),
        Failure::NotAuthoritative => {
            format!("{server} is not the primary server of {zone}: name that server, or the right zone")
        }
        Failure::NotInZone => format!("{name} does not lie in {zone}: name its zone"),
        Failure::Alias => {
            format!("{name} is an alias (CNAME) and can have no key: publish the name that it leads to")
        }
        Failure::Rejected { rcode } => format!("{server} rejected the update: {}", rcode_text(rcode)),
        Failure::Clock { difference } => format!(
            "the clock of {server} is {} s {} ours, and jumps: set both by NTP",
            difference.unsigned_abs(),
            if difference < 0 { "behind" } else { "ahead of" }
        ),
        Failure::TooLong => {
            format!("the records of {name} do not fit into one update: publish fewer or shorter ones")
        }
        Failure::NoRandom => "the system gives no random numbers".into(),
    }
}

fn rcode_text(rcode: u8) -> String {
    // RFC 1035 §4.1.1, RFC 2136 §2.2.
    const NAMES: [&str; 11] = [
        "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET",
        "NOTAUTH", "NOTZONE",
    ];
    NAMES.get(usize::from(rcode)).map_or_else(|| format!("RCODE {rcode}"), |name| (*name).into())
}
