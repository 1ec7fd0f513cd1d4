//! The records of `buttons key dns` in other people's tools: each has to read every kind of key with every
//! kind of gateway, and to mean by it what we mean (RFC 4025 §3.1, RFC 3597 §5).
//!
//! What is not installed shows as ignored with its name; `BUTTONS_REQUIRE_PEERS=1` makes that a failure.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use buttons::key::dns::{Data, Record, Server, gateway, host_name};
use buttons::key::{self, Kind};
use buttons::peer::{check_program, output};
use ike_core::discovery::tlsa;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

fn main() -> ExitCode {
    let trials = vec![
        trial("named-compilezone", "bind9-utils", bind),
        trial("kzonecheck", "knot-dnssecutils", knot),
        trial("nsd-checkzone", "nsd", nsd),
        trial("ldns-read-zone", "ldnsutils", ldns),
        trial("tinydns-data", "tinydns", tinydns),
        trial("dnsmasq", "dnsmasq-base", dnsmasq),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn trial(
    program: &'static str,
    package: &'static str,
    run: fn(&Path, &[Record]) -> Result<(), Failed>,
) -> Trial {
    Trial::ignorable_test(program, move || match check_program(program, package) {
        Ok(()) => {
            let folder = Folder::new(program)?;
            run(&folder.0, &records()?).map(|()| Completion::Completed)
        }
        Err(missing) if std::env::var_os("BUTTONS_REQUIRE_PEERS").is_some() => Err(missing.into()),
        Err(missing) => Ok(Completion::ignored_with(missing.to_string())),
    })
}

/// One record for each kind of key and gateway, each at a name of its own, and one with a fingerprint.
fn records() -> Result<Vec<Record>, Failed> {
    let mut records = Vec::new();
    for kind in [Kind::Ed25519, Kind::P256, Kind::P384, Kind::Rsa2048] {
        let spki = key::public(&key::generate(kind)?).ok_or("no key")?;
        let key = key::parse_spki(&spki).ok_or("no key")?;
        for (n, to) in
            [None, Some("192.0.2.1"), Some("2001:db8::1"), Some("gw.example.net")].iter().enumerate()
        {
            let gateway = to.map_or(Ok(ike_core::discovery::ipseckey::Gateway::None), gateway)?;
            let owner = host_name(&format!("{kind:?}-{n}.example.net").to_lowercase())?;
            records.push(Record { owner, ttl: 3600, data: Data::Key { precedence: 10, gateway, key } });
        }
    }
    let spki = key::public(&key::generate(Kind::Ed25519)?).ok_or("no key")?;
    let owner = tlsa::owner(&host_name("print.example.net")?).ok_or("too long")?;
    records.push(Record { owner, ttl: 3600, data: Data::Fingerprint(key::fingerprint(&spki)) });
    Ok(records)
}

fn zone(records: &[Record], server: Server) -> String {
    let start = "example.net. 3600 IN SOA ns.example.net. h.example.net. 1 7200 900 604800 300\n\
                 example.net. 3600 IN NS ns.example.net.\n\
                 ns.example.net. 3600 IN A 192.0.2.53\n\
                 gw.example.net. 3600 IN A 192.0.2.1\n";
    records.iter().fold(start.into(), |zone, record| zone + &record.spell(server) + "\n")
}

/// Writes the zone in both forms, has `read` read it, and compares what was understood.
fn compare(
    folder: &Path,
    records: &[Record],
    read: impl Fn(&Path) -> Result<String, Failed>,
) -> Result<(), Failed> {
    let mut understood = Vec::new();
    for server in [Server::Zone, Server::Generic] {
        let file = folder.join(format!("{server:?}.zone"));
        std::fs::write(&file, zone(records, server))?;
        understood.push(read(&file)?);
    }
    if understood[0] != understood[1] || !["IPSECKEY", "TLSA"].iter().all(|word| understood[0].contains(word))
    {
        return Err(format!("read as\n{}\nand as\n{}", understood[0], understood[1]).into());
    }
    Ok(())
}

fn bind(folder: &Path, records: &[Record]) -> Result<(), Failed> {
    compare(folder, records, |file| {
        let mut command = Command::new("named-compilezone");
        Ok(output(command.args(["-q", "-s", "full", "-o", "-", "example.net"]).arg(file))?)
    })
}

fn ldns(folder: &Path, records: &[Record]) -> Result<(), Failed> {
    compare(folder, records, |file| Ok(output(Command::new("ldns-read-zone").arg(file))?))
}

fn knot(folder: &Path, records: &[Record]) -> Result<(), Failed> {
    accept(folder, records, |file| {
        let mut command = Command::new("kzonecheck");
        command.args(["-o", "example.net"]).arg(file);
        command
    })
}

fn nsd(folder: &Path, records: &[Record]) -> Result<(), Failed> {
    accept(folder, records, |file| {
        let mut command = Command::new("/usr/sbin/nsd-checkzone");
        command.arg("example.net").arg(file);
        command
    })
}

fn accept(folder: &Path, records: &[Record], check: impl Fn(&Path) -> Command) -> Result<(), Failed> {
    for server in [Server::Zone, Server::Generic] {
        let file = folder.join(format!("{server:?}.zone"));
        std::fs::write(&file, zone(records, server))?;
        output(&mut check(&file))?;
    }
    Ok(())
}

/// tinydns-get prints the octets of an answer from the compiled data, the unprintable ones in octal.
fn tinydns(folder: &Path, records: &[Record]) -> Result<(), Failed> {
    let lines = records.iter().map(|record| record.spell(Server::Tinydns) + "\n");
    let data = ".example.net::ns.example.net\n".to_owned() + &lines.collect::<String>();
    std::fs::write(folder.join("data"), data)?;
    output(Command::new("/usr/sbin/tinydns-data").current_dir(folder))?;
    for record in records {
        let mut get = Command::new("tinydns-get");
        let rtype = if matches!(record.data, Data::Fingerprint(_)) { "52" } else { "45" };
        let said = output(get.current_dir(folder).args([rtype, &record.owner.to_string()]))?;
        let octets: String = record.rdata().iter().map(|octet| printed(*octet)).collect();
        if !said.contains(&format!("answer: {} 3600 {rtype} {octets}\n", record.owner)) {
            return Err(format!("{octets} became\n{said}").into());
        }
    }
    Ok(())
}

fn printed(octet: u8) -> String {
    match octet {
        b'\\' | 0..=32 | 127.. => format!("\\{octet:03o}"),
        _ => char::from(octet).into(),
    }
}

fn dnsmasq(folder: &Path, records: &[Record]) -> Result<(), Failed> {
    let file = folder.join("dnsmasq.conf");
    let lines = records.iter().map(|record| record.spell(Server::Dnsmasq) + "\n");
    std::fs::write(&file, lines.collect::<String>())?;
    let mut option = std::ffi::OsString::from("--conf-file=");
    option.push(&file);
    Ok(output(Command::new("/usr/sbin/dnsmasq").arg("--test").arg(option)).map(drop)?)
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Result<Self, Failed> {
        let path = std::env::temp_dir().join(format!("buttons-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
