//! `[[policy]]`: what happens to some traffic. A name for a far side may make a peer.

use esp_engine::sa::Mode;
use esp_engine::spd::Level;
use firmware::config::{self, Config};

use super::file::{ActionWord, PolicyTable, PortsText};
use super::value::Value as _;
use super::{Fault, value};

/// The far side of a policy, and its peer. A name is that of a peer whose keys are in DNS; where none has it, it
/// becomes one.
fn build_remote(
    table: &PolicyTable,
    config: &mut Config,
) -> Result<(config::Remote, Option<config::Name>), Fault> {
    let peer = table.peer.as_ref().map(value::parse).transpose()?;
    let Some(remote) = &table.remote else {
        return match &table.peer {
            Some(_) => Ok((config::Remote::Peer, peer)),
            None => Err((
                Some(table.name.span()),
                "say where the far side is: remote = \"192.0.2.0/24\"".to_owned(),
            )),
        };
    };
    if let Some(network) = config::Prefix::from_text(remote.get_ref()) {
        return Ok((config::Remote::Network(network), peer));
    }
    let name: config::Identity = value::parse(remote)?;
    if !matches!(&name, config::Identity::Fqdn(name) if name.contains('.')) {
        return Err((
            Some(remote.span()),
            "write an address with its prefix length, such as 192.0.2.2/32, or a name whose keys are in DNS"
                .to_owned(),
        ));
    }
    let found = config.peers.iter().find(|peer| peer.identity.as_ref() == Some(&name));
    let called = match found {
        Some(peer) => peer.name.clone(),
        None => {
            let called: config::Name = value::parse(remote)?;
            let peer = by_name(called.clone(), name);
            // In front of those for anyone, which come last.
            let is_wildcard = |peer: &config::Peer| peer.authentication.is_wildcard();
            let place = config.peers.iter().position(is_wildcard).unwrap_or(config.peers.len());
            config.peers.insert(place, peer).map_err(|_| {
                (Some(remote.span()), format!("there is room for {} peers: remove one", config::MAX_PEERS))
            })?;
            called
        }
    };
    match peer {
        Some(peer) if peer != called => {
            let advice = format!("\"{called}\" is the peer with this name: remove peer");
            Err((Some(remote.span()), advice))
        }
        _ => Ok((config::Remote::Peer, Some(called))),
    }
}

/// Our side: a network, or the outer interface's own address of the far side's family, which may come from DHCP.
fn build_local(
    table: &PolicyTable,
    config: &Config,
    remote: config::Remote,
) -> Result<config::Prefix, Fault> {
    if table.local.get_ref() != "outer" {
        return value::parse(&table.local);
    }
    let is_meant = |own: &&config::Prefix| match remote {
        config::Remote::Network(network) => network.address.is_ipv4() == own.address.is_ipv4(),
        config::Remote::Peer => true,
    };
    let mut own = config.interfaces.first().into_iter().flat_map(|port| &port.addresses);
    let own = own.find(is_meant).ok_or_else(|| {
        (Some(table.local.span()), "the outer interface has no address of this family: add one".to_owned())
    })?;
    let length = if own.address.is_ipv4() { 32 } else { 128 };
    Ok(config::Prefix { address: own.address, length })
}

/// A peer of whom nothing is known but its name.
fn by_name(called: config::Name, identity: config::Identity) -> config::Peer {
    let dns = config::Dns { whose: config::Whose::Name, from_anywhere: false, wildcards: false };
    config::Peer {
        name: called,
        identity: Some(identity),
        address: None,
        port: config::check::IKE_PORT,
        authentication: config::Authentication::Dns(dns),
        ranges: Default::default(),
        start: config::Start::OnTraffic,
        childless: false,
        ppk: None,
    }
}

pub fn build(table: &PolicyTable, config: &mut Config) -> Result<config::Policy, Fault> {
    let ports = |ports: &Option<toml::Spanned<PortsText>>| match ports {
        None => Ok(config::Ports::ANY),
        Some(text) => value::ports(text),
    };
    let (remote, peer) = build_remote(table, config)?;
    let best = peer.as_ref().and_then(|name| config.peers.iter().find(|peer| peer.name == *name));
    let is_in_dns = best.is_some_and(|peer| matches!(peer.authentication, config::Authentication::Dns(_)));
    let usual = if is_in_dns { Level::Validated } else { Level::Pinned };
    let action = match table.action.get_ref() {
        ActionWord::Protect => config::Action::Protect {
            mode: table.mode.map_or(Mode::Transport, |mode| mode.0),
            minimum: table.minimum.map_or(usual, |minimum| minimum.0),
            peer,
            pfs: table.pfs.unwrap_or(false),
        },
        word if table.mode.is_some()
            || table.minimum.is_some()
            || table.peer.is_some()
            || table.pfs.is_some() =>
        {
            return Err((
                Some(table.action.span()),
                format!(
                    "mode, minimum, peer and pfs belong to action = \"protect\": remove them from {word:?}"
                )
                .to_lowercase(),
            ));
        }
        ActionWord::Bypass => config::Action::Bypass,
        ActionWord::Discard => config::Action::Discard,
    };
    Ok(config::Policy {
        name: value::parse(&table.name)?,
        local: build_local(table, config, remote)?,
        remote,
        protocol: table.protocol.as_ref().map_or(Ok(config::EVERY_PROTOCOL), value::protocol)?,
        local_ports: ports(&table.local_ports)?,
        remote_ports: ports(&table.remote_ports)?,
        action,
    })
}
