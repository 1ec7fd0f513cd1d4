//! `[dns.publish]`: our own name in DNS.

use std::path::Path;

use firmware::config::{Identity, MAX_IDENTITY, Publication, SharedKey};
use ike_core::discovery::update::Form;

use super::file::{PublishTable, Text, Written};
use super::{Fault, value};
use crate::key::dns;
use crate::publish;

/// Seconds for which others may remember our records, unless the file says otherwise.
const TTL: u32 = 3600;

/// The same where the address may change at any time: for so long nobody may find us.
const SHORT_TTL: u32 = 60;

/// What a device keeps up to date. Its name is its identity, unless the file says otherwise.
pub fn build(
    table: &toml::Spanned<PublishTable>,
    written: &Written,
    folder: &Path,
) -> Result<Publication, Fault> {
    let PublishTable { server, secret, name, zone, addresses, ttl, form } = table.get_ref();
    let own = name.as_ref().unwrap_or(&written.identity);
    if matches!(value::parse(own)?, Identity::Address(_) | Identity::KeyId(_)) {
        let advice = "the identity is no name: write which name is published, name = \"b.example.net\"";
        return Err((Some(table.span()), advice.to_owned()));
    }
    let name = host_name(own)?;
    let zone = match zone {
        Some(zone) => host_name(zone)?,
        None => publish::above(&name),
    };
    let (key_name, octets) = publish::read_secret_parts(&folder.join(secret.get_ref()))
        .map_err(|reason| (Some(secret.span()), reason))?;
    Ok(Publication {
        name: short(&name, own)?,
        zone: short(&zone, own)?,
        server: value::parse(server)?,
        key_name: short(&key_name, secret)?,
        secret: SharedKey::new(&octets).ok_or((Some(secret.span()), "this secret is too long".to_owned()))?,
        addresses: addresses.unwrap_or(true),
        as_fingerprint: form.is_some_and(|word| word.0 == Form::Fingerprint),
        ttl: ttl.unwrap_or(if has_dhcp(written) { SHORT_TTL } else { TTL }),
    })
}

fn has_dhcp(written: &Written) -> bool {
    let mut ports = written.interface.iter().flat_map(|table| table.get_ref().addresses.get_ref());
    ports.any(|address| address.get_ref() == "dhcp")
}

fn host_name(text: &Text) -> Result<ike_core::discovery::Name, Fault> {
    dns::host_name(text.get_ref()).map_err(|reason| (Some(text.span()), reason))
}

fn short(name: &ike_core::discovery::Name, at: &Text) -> Result<heapless::String<MAX_IDENTITY>, Fault> {
    let name = name.to_string();
    name.as_str()
        .try_into()
        .map_err(|_| (Some(at.span()), format!("a device publishes names of at most {MAX_IDENTITY} octets")))
}
