//! `[[peer]]`: who may come, and how it is known.

use std::fs;
use std::path::Path;

use firmware::config::{self, SharedKey};
use zeroize::Zeroizing;

use super::file::{OneOrMore, PeerTable, PpkTable};
use super::{Fault, push, value};
use crate::key;

pub fn build(table: &PeerTable, folder: &Path) -> Result<config::Peer, Fault> {
    let identity = match (&table.identity, &table.dns) {
        (None, name) => name.as_ref().map(value::parse).transpose()?,
        (Some(identity), None) => Some(value::parse(identity)?),
        (Some(identity), Some(_)) => {
            return Err((
                Some(identity.span()),
                "dns already says who the peer is: remove identity".to_owned(),
            ));
        }
    };
    let address = table.address.as_ref().map(value::parse).transpose()?;
    let mut ranges = heapless::Vec::new();
    for range in &table.ranges {
        push(&mut ranges, value::parse(range)?, range.span())?;
    }
    Ok(config::Peer {
        name: value::parse(&table.name)?,
        identity,
        address,
        port: table.port.unwrap_or(config::check::IKE_PORT),
        authentication: build_authentication(table, folder)?,
        ranges,
        start: table.start.map_or(config::Start::OnTraffic, |start| start.0),
        childless: table.childless,
        ppk: table.ppk.as_ref().map(|ppk| build_ppk(ppk.get_ref(), folder)).transpose()?,
    })
}

fn build_authentication(table: &PeerTable, folder: &Path) -> Result<config::Authentication, Fault> {
    let PeerTable { key, fingerprint, shared_key, dns, dns_suffix, dns_network, .. } = table;
    let anyone = for_anyone(table);
    if let (None, Some(hours)) = (&table.first_use, &table.replace_after_h) {
        let advice = "replace-after-h belongs to first-use = true: remove it, or write that";
        return Err((Some(hours.span()), advice.to_owned()));
    }
    let whose = build_whose(table)?;
    let is_in_dns = [dns, dns_suffix, dns_network].into_iter().flatten().count() == 1;
    match (key, fingerprint, shared_key, whose, anyone) {
        (None, None, None, Some(whose), [None, None]) if is_in_dns => {
            let (from_anywhere, wildcards) = (table.from_anywhere, table.wildcards);
            Ok(config::Authentication::Dns(config::Dns { whose, from_anywhere, wildcards }))
        }
        (_, _, _, None, _) if table.from_anywhere || table.wildcards || table.or_stranger => Err((
            Some(table.name.span()),
            "from-anywhere, wildcards and or-stranger belong to keys in DNS: remove them".to_owned(),
        )),
        (Some(keys), None, None, None, [None, None]) => {
            let mut pinned = heapless::Vec::new();
            for key in OneOrMore::texts(keys) {
                let spki = read_public(key.get_ref(), folder)
                    .map_err(|error| (Some(key.span()), format!("{}: {error}", key.get_ref())))?;
                let spki = heapless::Vec::from_slice(&spki)
                    .map_err(|_| (Some(key.span()), "this key is too long".to_owned()))?;
                push(&mut pinned, spki, key.span())?;
            }
            Ok(config::Authentication::Pinned(pinned))
        }
        (None, Some(sums), None, None, [None, None]) => {
            let mut fingerprints = heapless::Vec::new();
            for sum in OneOrMore::texts(sums) {
                push(&mut fingerprints, value::fingerprint(&sum)?, sum.span())?;
            }
            Ok(config::Authentication::Fingerprints(fingerprints))
        }
        (None, None, Some(file), None, [None, None]) => read_secret(file, folder).map(config::Authentication::Shared),
        (None, None, None, None, [Some((true, authentication)), None]) => Ok(authentication),
        _ => Err((
            Some(table.name.span()),
            "say how this peer is known by exactly one of: key = \"peer.pub\", fingerprint = \"…\", \
             shared-key = \"FILE\", dns = \"NAME\", dns-suffix = \".END\", dns-network = \"192.0.2.0/24\", btns = true, \
             first-use = true, null = true"
                .to_owned(),
        )),
    }
}

/// The first two words that make an entry one for anyone, if there are any, and whether they say so.
fn for_anyone(table: &PeerTable) -> [Option<(bool, config::Authentication)>; 2] {
    let replace_after_h = table.replace_after_h.as_ref().map_or(0, |hours| *hours.get_ref());
    let words = [
        (&table.btns, config::Authentication::Btns),
        (&table.first_use, config::Authentication::FirstUse { replace_after_h }),
        (&table.null, config::Authentication::Null),
    ];
    let mut written = words
        .into_iter()
        .filter_map(|(word, authentication)| Some((*word.as_ref()?.get_ref(), authentication)));
    [written.next(), written.next()]
}

/// Whose keys DNS has, if that is how the peer is known.
fn build_whose(table: &PeerTable) -> Result<Option<config::Whose>, Fault> {
    let or_stranger = table.or_stranger;
    Ok(match (&table.dns, &table.dns_suffix, &table.dns_network) {
        (Some(_), ..) => Some(config::Whose::Name),
        (_, Some(suffix), _) => Some(config::Whose::Suffix(value::parse(suffix)?)),
        (_, _, Some(network)) => {
            Some(config::Whose::Network { network: value::parse(network)?, or_stranger })
        }
        (None, None, None) => None,
    })
}

/// A secret from a file, without the line's end.
fn read_secret(file: &toml::Spanned<String>, folder: &Path) -> Result<SharedKey, Fault> {
    let octets = fs::read(folder.join(file.get_ref()))
        .map(Zeroizing::new)
        .map_err(|error| (Some(file.span()), format!("{}: {error}", file.get_ref())))?;
    SharedKey::new(octets.trim_ascii_end())
        .ok_or((Some(file.span()), format!("a shared key has at most {} octets", config::MAX_SHARED_KEY)))
}

fn build_ppk(table: &PpkTable, folder: &Path) -> Result<config::Ppk, Fault> {
    let id = heapless::Vec::from_slice(table.id.get_ref().as_bytes()).map_err(|_| {
        (Some(table.id.span()), format!("a PPK is called by at most {} octets", config::MAX_IDENTITY))
    })?;
    Ok(config::Ppk { id, secret: read_secret(&table.secret, folder)?, mandatory: !table.optional })
}

/// A public key from a file of this name, or spelled in the configuration itself.
fn read_public(text: &str, folder: &Path) -> Result<Vec<u8>, key::KeyError> {
    if let Ok(spki) = key::parse_public(text) {
        return Ok(spki);
    }
    key::parse_public(&fs::read_to_string(folder.join(text))?)
}
