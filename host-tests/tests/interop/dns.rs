//! Our resolver and other people's servers: zones signed by BIND's tools, served by Knot and by BIND, asked
//! through Unbound and through BIND. Each class of outcome, and networks that let only some answers through.
//!
//! | address | who |
//! |---|---|
//! | 203.0.113.53 | Knot, all zones |
//! | 203.0.113.54 | BIND, the same |
//! | 203.0.113.56 | Unbound, which asks Knot |
//! | 203.0.113.57 | BIND, which asks BIND |
//! | 203.0.113.58 | nobody |
//! | 203.0.113.59 | a relay to Unbound, which is late or lies |

mod devices;
pub mod hosts;
mod lies;
pub mod relay;
mod servers;
mod zones;

use std::net::SocketAddr;
use std::path::PathBuf;

use buttons::peer::{self, Namespace};
use buttons::resolve::{Arguments, Found, resolve};
use ike_core::discovery::Rtype;
use ike_core::discovery::dnssec::Bogus;
use ike_core::discovery::outcome::{Indeterminate, Presence, Security};
use ike_core::discovery::resolver::Examples;
use ike_core::discovery::upstream::Lack;
use libtest_mimic::Trial;

use crate::ground::{Folder, expect};
use crate::{Absent, Fault, needing};
use servers::Servers;

pub const UNBOUND: &str = "203.0.113.56:53";
pub const BIND: &str = "203.0.113.57:53";
const NOBODY: &str = "203.0.113.58:53";

/// What is to come of a name: as the exit status of `buttons resolve` says it, and how many keys.
type Row = (&'static str, Security, Presence, usize);

const TABLE: &[Row] = &[
    ("p256.nsec.test", Security::Secure, Presence::Present, 1),
    ("p256.nsec3.test", Security::Secure, Presence::Present, 1),
    ("ed25519.ed.test", Security::Secure, Presence::Present, 1),
    ("rsa.nsec.test", Security::Secure, Presence::Present, 1),
    ("gw4.nsec.test", Security::Secure, Presence::Present, 1),
    ("gw6.nsec.test", Security::Secure, Presence::Present, 1),
    ("gwname.nsec.test", Security::Secure, Presence::Present, 1),
    ("two.nsec3.test", Security::Secure, Presence::Present, 2),
    ("many.nsec.test", Security::Secure, Presence::Present, 4),
    ("many.nsec3.test", Security::Secure, Presence::Present, 4),
    ("nsec.test", Security::Secure, Presence::Absent, 0),
    ("empty.nsec.test", Security::Secure, Presence::Absent, 0),
    ("empty.nsec3.test", Security::Secure, Presence::Absent, 0),
    ("nobody.nsec.test", Security::Secure, Presence::Absent, 0),
    ("nobody.nsec3.test", Security::Secure, Presence::Absent, 0),
    ("nobody.test", Security::Secure, Presence::Absent, 0),
    ("x.wild.nsec.test", Security::Secure, Presence::Present, 1),
    ("x.wild.nsec3.test", Security::Secure, Presence::Present, 1),
    ("alias.nsec.test", Security::Secure, Presence::Present, 1),
    ("far.nsec.test", Security::Secure, Presence::Present, 1),
    ("p256.away.nsec.test", Security::Secure, Presence::Present, 1),
    ("out.nsec.test", Security::Insecure, Presence::Present, 1),
    ("p256.unsigned.test", Security::Insecure, Presence::Present, 1),
    ("gw4.unsigned.test", Security::Insecure, Presence::OnlyUnusable, 0),
    ("nobody.unsigned.test", Security::Insecure, Presence::Absent, 0),
    ("p256.optout.test", Security::Secure, Presence::Present, 1),
    ("p256.child.optout.test", Security::Insecure, Presence::Present, 1),
    ("p256.bogus.test", Security::Bogus(Bogus::BadSignature), Presence::Absent, 0),
    ("p256.expired.test", Security::Bogus(Bogus::Expired), Presence::Absent, 0),
    ("p256.future.test", Security::Bogus(Bogus::NotYetValid), Presence::Absent, 0),
    ("192.0.2.2", Security::Secure, Presence::Present, 1),
    ("2001:db8::2", Security::Secure, Presence::Present, 1),
    ("192.0.2.77", Security::Secure, Presence::Absent, 0),
];

/// One case for each recursive server, and one for each network that is not as it should be.
pub fn trials() -> Vec<Trial> {
    let case = |name: &str, run: fn(&Ground) -> Result<(), Fault>| {
        needing(format!("dns::{name}"), present, move || run(&Ground::new()?))
    };
    vec![
        case("unbound", |ground| every_outcome(ground, UNBOUND)),
        case("bind", |ground| every_outcome(ground, BIND)),
        case("networks", networks),
        case("trials_of_servers", trials_of_servers),
        case("several_servers", several_servers),
        case("devices", |ground| devices::meet(ground, &[UNBOUND])),
        case("lies", lies::are_not_heard),
    ]
}

/// Whether all servers are here.
pub fn present() -> Result<(), Absent> {
    peer::check_tools()?;
    for (program, package) in [
        ("named", "bind9"),
        ("dnssec-signzone", "bind9-utils"),
        ("unbound", "unbound"),
        ("knotd", "knot"),
        ("nsupdate", "bind9-dnsutils"),
        ("nft", "nftables"),
    ] {
        peer::check_program(program, package)?;
    }
    Ok(())
}

/// The signed tree and its servers, in somebody's namespace.
pub struct Tree {
    /// The DS record of its root.
    pub anchor: PathBuf,
    _servers: Servers,
    folder: Folder,
}

impl Tree {
    /// Signs it and serves it.
    pub fn grow(namespace: &Namespace) -> Result<Self, Fault> {
        let folder = Folder::new()?;
        let zones = folder.inside("zones")?;
        let anchor = zones::write(&zones)?;
        let servers = Servers::start(namespace, &folder.inside("servers")?, &zones, &anchor)?;
        Ok(Self { anchor, _servers: servers, folder })
    }
}

/// A namespace with the servers in it, and what they serve.
pub struct Ground {
    pub namespace: Namespace,
    pub tree: Tree,
}

impl Ground {
    pub fn new() -> Result<Self, Fault> {
        let namespace = Namespace::new("dns")?;
        let tree = Tree::grow(&namespace)?;
        Ok(Self { namespace, tree })
    }

    /// The namespace becomes a switch for those who will be attached, with 192.0.2.254 as the way to the servers.
    pub fn be_a_switch(&self) -> Result<(), Fault> {
        let here = &self.namespace;
        // A bridge without an address of its own takes another with each cable; and the kernel asks for neighbours
        // in the name of whichever address it answers from, unless it is told not to.
        here.run("ip", &["link", "add", "br0", "address", "02:00:00:00:00:fe", "type", "bridge"])?;
        here.run("sysctl", &["-qw", "net.ipv4.conf.all.arp_announce=2"])?;
        here.run("ip", &["addr", "add", "192.0.2.254/24", "dev", "br0"])?;
        here.run("ip", &["link", "set", "br0", "up"])?;
        Ok(())
    }

    /// Lays a cable from `wan0` of a namespace to the switch; its end there is called `name`.
    pub fn attach(&self, namespace: &Namespace, name: &str) -> Result<(), Fault> {
        namespace.cable("wan0", &self.namespace, name)?;
        self.namespace.run("ip", &["link", "set", name, "master", "br0"])?;
        Ok(())
    }

    /// Has `dev2` in the zone that changes lose what it has of these types, and have these records.
    pub fn change(&self, types: &[&str], records: &[String]) -> Result<(), Fault> {
        let name = format!("dev2.{}", zones::LIVE);
        servers::change(&self.namespace, &self.tree.folder.inside("update")?, &name, types, records)
    }

    /// What our resolver finds.
    pub fn ask(&self, name: &str, servers: &[&str], rtype: Option<Rtype>) -> Result<Found, Fault> {
        let servers: Vec<SocketAddr> = servers.iter().map(|it| it.parse()).collect::<Result<_, _>>()?;
        let name = name.to_owned();
        let anchor = Some(self.tree.anchor.clone());
        let arguments = Arguments { name, servers, anchor, rtype, at: None, probe: None, json: false };
        self.resolve(arguments)
    }

    /// What a server is found to lack when it is tried out.
    fn lacks(&self, server: &str) -> Result<Vec<Lack>, Fault> {
        let probe = Some(Examples { signed: "test".parse()?, hashed: "nsec3.test".parse()? });
        let (name, servers) = ("nsec.test".into(), vec![server.parse()?]);
        let anchor = Some(self.tree.anchor.clone());
        let found =
            self.resolve(Arguments { name, servers, anchor, rtype: None, at: None, probe, json: false })?;
        let lacks = found.servers.first().and_then(|server| server.lacks);
        Ok(lacks.ok_or("it was not tried out")?.iter().collect())
    }

    fn resolve(&self, arguments: Arguments) -> Result<Found, Fault> {
        let asked = self.namespace.thread(move || resolve(&arguments))?;
        Ok(asked.join().map_err(|_| "the resolver panicked")???)
    }

    /// Lets only some of the servers' packets through: rules of nftables.
    fn limit(&self, rules: &str) -> Result<(), Fault> {
        let table =
            format!("table ip limits {{ chain out {{ type filter hook output priority 0; {rules} }}; }}");
        self.namespace.run("nft", &["table ip limits; delete table ip limits"])?;
        self.namespace.run("nft", &[&table])?;
        Ok(())
    }
}

fn keys(found: &Found) -> usize {
    found.outcome.keys().count()
}

/// Real servers lack nothing, but what the network takes from them.
fn trials_of_servers(ground: &Ground) -> Result<(), Fault> {
    for server in [UNBOUND, BIND] {
        let lacks = ground.lacks(server)?;
        expect(lacks.is_empty(), || format!("{server} lacks {lacks:?}"))?;
    }
    ground.limit("ip saddr 203.0.113.56 tcp sport 53 drop;")?;
    let lacks = ground.lacks(UNBOUND)?;
    expect(lacks == [Lack::Connections], || format!("without TCP it lacks {lacks:?}"))?;
    ground.limit("ip saddr 203.0.113.56 drop;")?;
    let lacks = ground.lacks(UNBOUND)?;
    expect(lacks == [Lack::Answers], || format!("cut off it lacks {lacks:?}"))
}

fn every_outcome(ground: &Ground, server: &str) -> Result<(), Fault> {
    let mut wrong = Vec::new();
    for (name, security, presence, count) in TABLE {
        let found = ground.ask(name, &[server], None)?;
        let got = (found.outcome.security, found.outcome.presence, keys(&found));
        if got != (*security, *presence, *count) {
            wrong.push(format!("{name}: {got:?}\n{}", buttons::resolve::show::text(&found)));
        }
    }
    let found = ground.ask("a.nsec.test", &[server], None)?;
    if found.outcome.addresses().count() != 2 {
        wrong.push(format!("a.nsec.test has {} addresses", found.outcome.addresses().count()));
    }
    let found = ground.ask("nsec3.test", &[server], Some(Rtype::SOA))?;
    if (found.outcome.security, found.outcome.presence) != (Security::Secure, Presence::Present) {
        wrong.push(format!("SOA: {:?}", found.outcome));
    }
    wrong.extend(wrong_fingerprints(ground, server)?);
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

/// Where it is proven that a name has no key its fingerprints are looked for; how far they are proven, and how many.
fn wrong_fingerprints(ground: &Ground, server: &str) -> Result<Vec<String>, Fault> {
    let proven = |count| Some((Security::Secure, count));
    let mut wrong = Vec::new();
    for (name, expected) in [
        ("print2.nsec.test", proven(1)),
        ("print2.nsec3.test", proven(1)),
        ("print2.ed.test", proven(1)),
        ("plain.nsec3.test", proven(0)),
        ("dev2.nsec.test", None),
        ("print2.unsigned.test", None),
        ("print2.expired.test", None),
    ] {
        let found = ground.ask(name, &[server], None)?;
        let prints = found.fingerprints.as_ref();
        let got = prints.map(|of| (of.outcome.security, of.outcome.fingerprints().count()));
        let text = buttons::resolve::show::text(&found);
        let json = buttons::resolve::show::json(&found);
        let listed = json["fingerprints"]["sha256"].as_array().map(Vec::len);
        let is_told = text.contains("a convention of Buttons")
            && text.contains("\n_500._udp.")
            && listed == expected.map(|(_, count)| count);
        if got != expected || is_told != expected.is_some() {
            wrong.push(format!("{name}: {got:?}\n{text}"));
        }
    }
    Ok(wrong)
}

fn networks(ground: &Ground) -> Result<(), Fault> {
    let indeterminate = |why| (Security::Indeterminate(why), 0);
    let blocked = "ip saddr 203.0.113.56 tcp sport 53 drop;";
    for (rules, name, expected) in [
        // Large datagrams are lost on the way: the answers that need it come on connections.
        (
            "ip saddr 203.0.113.56 udp sport 53 udp length > 520 drop;",
            "many.nsec.test",
            (Security::Secure, 4),
        ),
        ("ip saddr 203.0.113.56 udp sport 53 drop;", "p256.nsec.test", (Security::Secure, 1)),
        (blocked, "p256.nsec.test", (Security::Secure, 1)),
        (blocked, "many.nsec.test", indeterminate(Indeterminate::NoConnection)),
        // Datagrams of 512 octets at most, and nothing else.
        (
            "ip saddr 203.0.113.56 udp sport 53 udp length > 520 drop; ip saddr 203.0.113.56 tcp sport 53 drop;",
            "many.nsec.test",
            indeterminate(Indeterminate::NoConnection),
        ),
        ("ip saddr 203.0.113.56 drop;", "p256.nsec.test", indeterminate(Indeterminate::NoAnswer)),
    ] {
        ground.limit(rules)?;
        let found = ground.ask(name, &[UNBOUND], None)?;
        let text = buttons::resolve::show::text(&found);
        let helps = text.contains("one key of Ed25519 or P-256 would do");
        let is_told = helps == (expected.0 == Security::Indeterminate(Indeterminate::NoConnection));
        if (found.outcome.security, keys(&found)) != expected || found.took > 5_500 || !is_told {
            return Err(format!("{rules} {name}:\n{text}").into());
        }
    }
    Ok(())
}

fn several_servers(ground: &Ground) -> Result<(), Fault> {
    let found = ground.ask("p256.nsec3.test", &[NOBODY, BIND], None)?;
    if found.outcome.security != Security::Secure || !found.servers[0].silent {
        return Err(buttons::resolve::show::text(&found).into());
    }
    let found = ground.ask("p256.nsec3.test", &[NOBODY], None)?;
    if found.outcome.security != Security::Indeterminate(Indeterminate::NoAnswer) {
        return Err(buttons::resolve::show::text(&found).into());
    }
    Ok(())
}
