//! Hosts whose names, addresses and keys are in every zone of the tree.

use buttons::key::{self, Spelling};
use firmware::config::PrivateKey;

use crate::Fault;

/// The keys of `dev1` and `dev2`, which are at 192.0.2.1 and 192.0.2.2.
pub static KEYS: [PrivateKey; 2] = [PrivateKey::Ed25519([0x51; 32]), PrivateKey::Ed25519([0x52; 32])];

/// What takes the place of the second key one day.
pub static NEXT_KEY: PrivateKey = PrivateKey::Ed25519([0x53; 32]);

/// The RSA keys of `rsa1` and `rsa2`, at the same addresses.
pub fn rsa_keys() -> Result<[PrivateKey; 2], Fault> {
    let parse = |pem| Ok::<_, Fault>(key::parse_private(pem)?);
    Ok([
        parse(include_str!("../../../keys/rsa2048-a.pem"))?,
        parse(include_str!("../../../keys/rsa2048-b.pem"))?,
    ])
}

/// A key as a record, from its class on.
pub fn ipseckey(private: &PrivateKey) -> Result<String, Fault> {
    let spki = key::public(private).ok_or("no public key")?;
    Ok(key::spell(&spki, Spelling::Ipseckey)?.trim().to_owned())
}

/// The lines of a zone.
pub fn lines() -> Result<Vec<String>, Fault> {
    let mut lines = Vec::new();
    for (n, (key, rsa)) in (1..).zip(KEYS.iter().zip(&rsa_keys()?)) {
        for (name, key) in [("dev", key), ("rsa", rsa)] {
            lines.push(format!("{name}{n} IN A 192.0.2.{n}"));
            lines.push(format!("{name}{n} {}", ipseckey(key)?));
        }
    }
    let of_dev2 = ipseckey(&KEYS[1])?;
    let print_of_dev2 = key::hex(&key::fingerprint(&key::public(&KEYS[1]).ok_or("no public key")?));
    // Its address is one of several; it is none of them; another family; a name without key; with a fingerprint.
    for record in [
        "several2 IN A 192.0.2.92",
        "several2 IN A 192.0.2.2",
        "several2 IN AAAA 2001:db8::2",
        &format!("several2 {of_dev2}"),
        "elsewhere2 IN A 192.0.2.77",
        &format!("elsewhere2 {of_dev2}"),
        "dev1 IN AAAA 2001:db8::1",
        "plain IN A 192.0.2.3",
        "print2 IN A 192.0.2.2",
        &format!("_500._udp.print2 IN TLSA 3 1 1 {print_of_dev2}"),
    ] {
        lines.push(record.to_owned());
    }
    Ok(lines)
}
