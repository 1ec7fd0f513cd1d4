//! An answer as a person reads it, with the chain that it hangs on as a tree, and as JSON.

use std::fmt::Write as _;

use base64ct::{Base64, Encoding};
use ike_core::discovery::ipseckey::{Gateway, Ipseckey, RecordKey};
use ike_core::discovery::outcome::{self, Indeterminate, Link, Presence, Security};
use ike_core::discovery::question::Question;
use ike_core::discovery::upstream::{Lack, Lacks, Unfit};
use ike_core::discovery::{Name, Rtype};
use ike_core::wire::spki;
use serde_json::{Value, json};

use super::{Found, moment};
use crate::key::{fingerprint, hex};

/// What is said of fingerprints, which are no RFC's.
const CONVENTION: [&str; 2] = [
    "a convention of Buttons: devices look at it only with fingerprints = true",
    "under [dns], and only because there is no IPSECKEY record",
];

/// The whole of it in lines of at most about 80 columns.
pub fn text(found: &Found) -> String {
    let mut text = said(found) + "\n" + &tree(found);
    if let Some(fingerprints) = &found.fingerprints {
        text.push('\n');
        text += &said(fingerprints);
        for line in CONVENTION {
            let _ = writeln!(text, "  {line}");
        }
        text.push('\n');
        text += &tree(fingerprints);
    }
    let _ = writeln!(
        text,
        "\n{} queries, {} signatures checked, {} ms",
        found.queries, found.verifications, found.took
    );
    for server in &found.servers {
        let _ = write!(text, "server {}:", server.address);
        let mut traits = Vec::new();
        if server.silent {
            traits.push("does not answer");
        }
        if server.lossy {
            traits.push("its datagrams do not come through, TCP does");
        }
        if let Some(unfit) = server.unfit {
            traits.push(unfit_words(unfit));
        }
        traits.extend(server.lacks.into_iter().flat_map(Lacks::iter).map(Lack::words));
        traits.dedup();
        let _ = writeln!(text, " {}", if traits.is_empty() { "good".into() } else { traits.join("; ") });
    }
    text
}

/// What was found, without its chain.
fn said(found: &Found) -> String {
    let mut text = format!("{}: {}\n", found.question.name().fmt_with_dot(), headline(found));
    for record in records(found) {
        let _ = writeln!(text, "  {record}");
    }
    if found.outcome.left_out > 0 {
        let _ = writeln!(text, "  left out: {} that are unusable or too many", found.outcome.left_out);
    }
    let _ = writeln!(text, "  holds for {} s{}", found.ttl, signed_until(found));
    if let Some(advice) = advice(found.outcome.security) {
        let _ = writeln!(text, "  {advice}");
    }
    text
}

/// Fingerprints for programs.
fn json_of_fingerprints(found: &Found) -> Value {
    json!({
        "name": found.question.name().fmt_with_dot().to_string(),
        "security": security_word(found.outcome.security),
        "reason": reason(found.outcome.security),
        "presence": presence_word(presence(found)),
        "wildcard": found.outcome.wildcard,
        "sha256": found.outcome.fingerprints().map(|print| hex(&print)).collect::<Vec<_>>(),
        "records": records(found),
        "left_out": found.outcome.left_out,
        "ttl": found.ttl,
        "signed_until": found.outcome.signed_until.map(|time| time.0),
        "chain": chain(found),
        "convention": CONVENTION.join(" "),
    })
}

fn chain(found: &Found) -> Vec<Value> {
    let links = found.outcome.links.iter().map(|link| {
        json!({ "name": name_of(found, *link).fmt_with_dot().to_string(), "what": what(found, *link) })
    });
    links.collect()
}

/// Of fingerprints only those count that are some.
fn presence(found: &Found) -> Presence {
    match found.outcome.presence {
        Presence::Present
            if is_about_fingerprints(found) && found.outcome.fingerprints().next().is_none() =>
        {
            Presence::OnlyUnusable
        }
        presence => presence,
    }
}

/// Whether it is about a peer's keys, and not about any other TLSA record.
fn is_about_fingerprints(found: &Found) -> bool {
    found.question.is_about_fingerprints() && found.question.name().to_string().starts_with("_500._udp.")
}

/// The same for programs.
pub fn json(found: &Found) -> Value {
    let keys = found.outcome.keys().filter_map(|key| match key.key {
        RecordKey::Public(public) => Some(json!({
            "precedence": key.precedence,
            "gateway": gateway(&key.gateway),
            "kind": kind(&key),
            "fingerprint": hex(&fingerprint(&spki::encode(&public))),
            "spki": Base64::encode_string(&spki::encode(&public)),
        })),
        _ => None,
    });
    let servers = found.servers.iter().map(|server| {
        json!({
            "address": server.address.to_string(),
            "silent": server.silent,
            "datagrams_lost": server.lossy,
            "unfit": server.unfit.map(unfit_words),
            "lacks": server.lacks.map(|lacks| lacks.iter().map(Lack::words).collect::<Vec<_>>()),
        })
    });
    json!({
        "name": found.question.name().fmt_with_dot().to_string(),
        "security": security_word(found.outcome.security),
        "reason": reason(found.outcome.security),
        "advice": advice(found.outcome.security),
        "presence": presence_word(found.outcome.presence),
        "wildcard": found.outcome.wildcard,
        "keys": keys.collect::<Vec<_>>(),
        "addresses": found.outcome.addresses().map(|it| it.to_string()).collect::<Vec<_>>(),
        "records": records(found),
        "left_out": found.outcome.left_out,
        "ttl": found.ttl,
        "signed_until": found.outcome.signed_until.map(|time| time.0),
        "chain": chain(found),
        "fingerprints": found.fingerprints.as_ref().map(|found| json_of_fingerprints(found)),
        "queries": found.queries,
        "verifications": found.verifications,
        "milliseconds": found.took,
        "servers": servers.collect::<Vec<_>>(),
    })
}

fn headline(found: &Found) -> String {
    let what = match found.question {
        _ if is_about_fingerprints(found) => "fingerprints of keys".to_owned(),
        Question::Records { rtype, .. } => format!("{rtype} records"),
        Question::Peer(_) | Question::Reverse(_) => "keys".to_owned(),
    };
    let presence = match presence(found) {
        Presence::Present => format!("there are {what}"),
        Presence::Absent => format!("there are no {what}"),
        Presence::OnlyUnusable => format!("there are {what}, none of them usable"),
    };
    let wildcard = if found.outcome.wildcard { ", made from a wildcard" } else { "" };
    match found.outcome.security {
        Security::Secure => format!("secure, {presence}{wildcard}"),
        Security::Insecure => format!("insecure, nobody signs it; {presence}, if that is true"),
        failed => format!("{}, {}", security_word(failed), reason(failed).unwrap_or_default()),
    }
}

fn signed_until(found: &Found) -> String {
    let until = found.outcome.signed_until;
    until.map_or(String::new(), |until| format!("; the first signature ends {}", moment::show(until)))
}

/// From the root down: each zone below its parent, what it says below it.
fn tree(found: &Found) -> String {
    let mut links: Vec<Link> = found.outcome.links.to_vec();
    // A search goes up and down; a reader goes down. Within a name the order stays.
    links.sort_by_key(|link| (link.name, link.depth));
    let mut text = String::new();
    let mut shown: Vec<Name> = Vec::new();
    for link in links {
        let name = name_of(found, link);
        let level = shown.iter().filter(|other| name.ends_with(*other) && **other != name).count();
        let indent = "  ".repeat(level);
        if shown.last() != Some(&name) {
            let _ = writeln!(text, "{indent}{}", name.fmt_with_dot());
        }
        let _ = writeln!(text, "{indent}  - {}", what(found, link));
        if !shown.contains(&name) {
            shown.push(name);
        }
    }
    text
}

fn name_of(found: &Found, link: Link) -> Name {
    found.outcome.name_of(link, &found.question.name())
}

fn what(found: &Found, link: Link) -> String {
    let zone = |depth: Option<u8>| {
        depth.map(|depth| name_of(found, Link { depth, ..link }).fmt_with_dot().to_string())
    };
    let from_cache = |cached: bool| if cached { ", known from before" } else { "" };
    match link.what {
        outcome::Found::Keys { cached } if link.depth == 0 => {
            format!("its keys are those of the trust anchor{}", from_cache(cached))
        }
        outcome::Found::Keys { cached } => {
            format!("its keys are those of the DS records{}", from_cache(cached))
        }
        outcome::Found::Delegation => "DS records, signed by the zone above".into(),
        outcome::Found::Unsigned { cached } => {
            format!("proven not to be signed, from here on down{}", from_cache(cached))
        }
        outcome::Found::NoCut => "proven to be no zone of its own".into(),
        outcome::Found::Records { rtype, zone: Some(depth), wildcard } => {
            let wildcard = if wildcard { ", made from a wildcard" } else { "" };
            format!("{rtype}, signed by {}{wildcard}", zone(Some(depth)).unwrap_or_default())
        }
        outcome::Found::Records { rtype, zone: None, .. } => format!("{rtype}, signed by nobody"),
        outcome::Found::Absent { rtype, zone: signer, name } => {
            let what = if name { "no such name" } else { "no such records" };
            match zone(signer) {
                Some(signer) => format!("{rtype}: {what}, proven by {signer}"),
                None => format!("{rtype}: {what}, says a server"),
            }
        }
        outcome::Found::Failed { rtype, reason: why } => {
            format!("{rtype}: {}, {}", security_word(why), reason(why).unwrap_or_default())
        }
    }
}

const fn security_word(security: Security) -> &'static str {
    match security {
        Security::Secure => "secure",
        Security::Insecure => "insecure",
        Security::Bogus(_) => "bogus",
        Security::Indeterminate(_) => "indeterminate",
    }
}

const fn presence_word(presence: Presence) -> &'static str {
    match presence {
        Presence::Present => "present",
        Presence::Absent => "absent",
        Presence::OnlyUnusable => "only-unusable",
    }
}

/// What would help, where whoever publishes the key can do something.
fn advice(security: Security) -> Option<&'static str> {
    let is_long = security == Security::Indeterminate(Indeterminate::NoConnection);
    is_long.then_some("up to 1,232 octets need no TCP: one key of Ed25519 or P-256 would do")
}

fn reason(security: Security) -> Option<String> {
    match security {
        Security::Secure | Security::Insecure => None,
        Security::Bogus(bogus) => Some(bogus.words().into()),
        Security::Indeterminate(Indeterminate::Refused(rcode)) => Some(match rcode {
            2 => "the servers failed (SERVFAIL)".into(),
            5 => "the servers refuse to answer us (REFUSED)".into(),
            rcode => format!("the servers answered with RCODE {rcode}"),
        }),
        Security::Indeterminate(reason) => Some(reason.words().into()),
    }
}

const fn unfit_words(unfit: Unfit) -> &'static str {
    match unfit {
        Unfit::NoSignatures => "leaves out signatures, so nothing it says can be proven",
        Unfit::ChildSide => "takes DS records from the wrong side of a cut",
    }
}

/// Aliases in their order, then keys, addresses and whatever else there is.
fn records(found: &Found) -> Vec<String> {
    let rank = |rtype: Rtype| match rtype {
        Rtype::CNAME => 0,
        Rtype::IPSECKEY => 1,
        _ => 2,
    };
    let mut all: Vec<_> = found.outcome.records.iter().collect();
    all.sort_by_key(|(rtype, _)| (rank(*rtype), rtype.to_int()));
    all.into_iter().filter_map(|(rtype, rdata)| record(rtype, rdata)).collect()
}

fn record(rtype: Rtype, rdata: &[u8]) -> Option<String> {
    let octets4 = || <[u8; 4]>::try_from(rdata).ok();
    let octets16 = || <[u8; 16]>::try_from(rdata).ok();
    let value = match rtype {
        Rtype::A => std::net::Ipv4Addr::from(octets4()?).to_string(),
        Rtype::AAAA => std::net::Ipv6Addr::from(octets16()?).to_string(),
        Rtype::CNAME | Rtype::DNAME | Rtype::NS | Rtype::PTR => {
            Name::from_octets(rdata.try_into().ok()?).ok()?.fmt_with_dot().to_string()
        }
        Rtype::IPSECKEY => {
            let key = Ipseckey::parse(rdata).ok()?;
            let print = match &key.key {
                RecordKey::Public(public) => hex(&fingerprint(&spki::encode(public))),
                _ => String::new(),
            };
            let gateway = gateway(&key.gateway).map_or(String::new(), |it| format!(" at {it}"));
            format!("{} {}{gateway}\n           {print}", key.precedence, kind(&key))
        }
        Rtype::TLSA => match rdata {
            [usage, selector, matching, association @ ..] => {
                format!("{usage} {selector} {matching}\n           {}", hex(association))
            }
            _ => format!("\\# {} {}", rdata.len(), hex(rdata)),
        },
        _ => format!("\\# {} {}", rdata.len(), hex(rdata)),
    };
    Some(format!("{:<8} {value}", rtype.to_string()).trim_end().to_owned())
}

fn gateway(gateway: &Gateway) -> Option<String> {
    match gateway {
        Gateway::None => None,
        Gateway::V4(address) => Some(address.to_string()),
        Gateway::V6(address) => Some(address.to_string()),
        Gateway::Name(name) => Some(name.fmt_with_dot().to_string()),
    }
}

fn kind(key: &Ipseckey) -> String {
    use ike_core::crypto::PublicKey;
    match &key.key {
        RecordKey::Public(PublicKey::Ed25519(_)) => "Ed25519".into(),
        RecordKey::Public(PublicKey::EcdsaP256(_)) => "ECDSA P-256".into(),
        RecordKey::Public(PublicKey::EcdsaP384(_)) => "ECDSA P-384".into(),
        RecordKey::Public(PublicKey::Rsa(key)) => format!("RSA, {} bits", 8 * key.modulus().len()),
        RecordKey::Absent => "no key".into(),
        RecordKey::Unusable { algorithm } => format!("unusable key of algorithm {algorithm}"),
    }
}
