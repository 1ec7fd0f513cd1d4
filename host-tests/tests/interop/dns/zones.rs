//! A small signed tree: a root, `test` below it, zones below that which are signed in each way, or wrongly,
//! or not at all, and the reverse zones of the addresses.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64ct::{Base64, Encoding};
use buttons::peer::output;

use super::hosts;
use crate::Fault;

/// Where all zones are served: Knot and BIND.
pub const AUTHORITATIVE: [&str; 2] = ["203.0.113.53", "203.0.113.54"];

/// The zone that is changed while it is served, by the second of them alone.
pub const LIVE: &str = "live.test.";

/// All zones, those below first: a parent needs the DS records of its children.
pub const ZONES: [&str; 15] = [
    LIVE,
    "lab.example.",
    "child.optout.test.",
    "optout.test.",
    "nsec.test.",
    "nsec3.test.",
    "ed.test.",
    "unsigned.test.",
    "bogus.test.",
    "expired.test.",
    "future.test.",
    "2.0.192.in-addr.arpa.",
    "8.b.d.0.1.0.0.2.ip6.arpa.",
    "test.",
    ".",
];

/// Seconds for which its records may be remembered.
pub const LIVE_TTL: u32 = 2;

fn server(zone: &str) -> &'static str {
    if zone == LIVE { "ns2.test." } else { "ns.test." }
}

/// The file of a signed zone.
pub fn file(zone: &str) -> String {
    match zone.trim_end_matches('.') {
        "" => "root.signed".into(),
        name => format!("{name}.signed"),
    }
}

/// Writes and signs all zones; the trust anchor's file.
///
/// # Errors
/// What a tool says.
pub fn write(folder: &Path) -> Result<PathBuf, Fault> {
    for zone in ZONES {
        // What nobody has is remembered as long as what is there.
        let (ttl, minimum) = if zone == LIVE { (LIVE_TTL, LIVE_TTL) } else { (300, 60) };
        let mut text =
            format!("$TTL {ttl}\n{zone} IN SOA ns.test. hostmaster.test. 1 3600 600 86400 {minimum}\n");
        writeln!(text, "{zone} IN NS {}", server(zone))?;
        text += &contents(zone)?;
        for child in ZONES.iter().filter(|child| parent(child) == Some(zone)) {
            writeln!(text, "{child} IN NS {}", server(child))?;
            let ds = folder.join(format!("dsset-{child}"));
            text += &fs::read_to_string(ds).unwrap_or_default();
        }
        let plain = folder.join(file(zone)).with_extension("zone");
        fs::write(&plain, &text)?;
        match zone {
            "unsigned.test." | "child.optout.test." => {
                fs::copy(&plain, folder.join(file(zone)))?;
            }
            "nsec3.test." => sign(folder, zone, &["RSASHA256", "-b", "2048"], &["-3", "-", "-H", "0"])?,
            "optout.test." => sign(folder, zone, &["ECDSAP256SHA256"], &["-3", "-", "-H", "0", "-A"])?,
            "ed.test." => sign(folder, zone, &["ED25519"], &[])?,
            "expired.test." => {
                sign(
                    folder,
                    zone,
                    &["ECDSAP256SHA256"],
                    &["-P", "-s", "20200101000000", "-e", "20200201000000"],
                )?;
            }
            "future.test." => {
                sign(
                    folder,
                    zone,
                    &["ECDSAP256SHA256"],
                    &["-P", "-s", "20400101000000", "-e", "20400201000000"],
                )?;
            }
            _ => sign(folder, zone, &["ECDSAP256SHA256"], &[])?,
        }
        if zone == "bogus.test." {
            let signed = folder.join(file(zone));
            let text = fs::read_to_string(&signed)?;
            // The precedence was 10 when it was signed.
            fs::write(signed, text.replace("IPSECKEY\t10 0", "IPSECKEY\t11 0"))?;
        }
    }
    let anchor = folder.join("anchor");
    fs::write(&anchor, fs::read_to_string(folder.join("dsset-."))?)?;
    Ok(anchor)
}

fn sign(folder: &Path, zone: &str, algorithm: &[&str], options: &[&str]) -> Result<(), Fault> {
    let mut keys = Vec::new();
    for flag in [&["-f", "KSK"][..], &[]] {
        let mut generate = Command::new("dnssec-keygen");
        generate.args(["-q", "-K"]).arg(folder).arg("-a").args(algorithm).args(flag).arg(zone);
        keys.push(output(&mut generate)?.trim().to_owned());
    }
    let plain = folder.join(file(zone)).with_extension("zone");
    let mut text = fs::read_to_string(&plain)?;
    for key in &keys {
        text += &fs::read_to_string(folder.join(key).with_added_extension("key"))?;
    }
    fs::write(&plain, text)?;
    let mut sign = Command::new("dnssec-signzone");
    sign.current_dir(folder).args(["-q", "-O", "full", "-o", zone, "-d"]).arg(folder).args(options);
    sign.args(["-f", &file(zone), "-k", &keys[0]]).arg(&plain).arg(&keys[1]);
    output(&mut sign)?;
    Ok(())
}

fn parent(child: &str) -> Option<&'static str> {
    let below =
        |zone: &&&'static str| **zone != child && child.ends_with(&format!(".{zone}").replace("..", "."));
    ZONES.iter().filter(below).max_by_key(|zone| zone.len()).copied().filter(|_| child != ".")
}

/// The records of a zone. What its keys are worth is nobody's business here, only their form.
fn contents(zone: &str) -> Result<String, Fault> {
    let base64 = |octet: u8, length: usize| Base64::encode_string(&vec![octet; length]);
    let rsa = |n: u8| Base64::encode_string(&[&[3, 1, 0, 1, 0xC0 | n], [0xFF; 255].as_slice()].concat());
    Ok(match zone {
        "." => "ns.test. IN A 203.0.113.53\n".into(),
        "test." => {
            "ns.test. IN A 203.0.113.53\nns.test. IN A 203.0.113.54\nns2.test. IN A 203.0.113.54\n".into()
        }
        "2.0.192.in-addr.arpa." => {
            let [one, two] = &hosts::KEYS;
            format!("1.{zone} {}\n2.{zone} {}\n", hosts::ipseckey(one)?, hosts::ipseckey(two)?)
        }
        "8.b.d.0.1.0.0.2.ip6.arpa." => {
            let zeros = "0.".repeat(23);
            format!("2.{zeros}{zone} IN IPSECKEY 10 2 4 2001:db8::2 {}\n", base64(2, 32))
        }
        _ => {
            let mut lines = vec![
                format!("p256 IN IPSECKEY 10 0 3 . {}", base64(3, 64)),
                format!("ed25519 IN IPSECKEY 10 0 4 . {}", base64(4, 32)),
                format!("rsa IN IPSECKEY 10 0 2 . {}", rsa(0)),
                format!("gw4 IN IPSECKEY 10 1 4 192.0.2.2 {}", base64(5, 32)),
                format!("gw6 IN IPSECKEY 10 2 4 2001:db8::2 {}", base64(6, 32)),
                format!("gwname IN IPSECKEY 10 3 4 b.nsec.test. {}", base64(7, 32)),
                format!("two IN IPSECKEY 10 0 3 . {}", base64(8, 64)),
                format!("two IN IPSECKEY 20 0 4 . {}", base64(9, 32)),
                format!("*.wild IN IPSECKEY 10 0 4 . {}", base64(10, 32)),
                "alias IN CNAME alias2".into(),
                "alias2 IN CNAME p256".into(),
                "far IN CNAME ed25519.nsec3.test.".into(),
                "out IN CNAME p256.unsigned.test.".into(),
                "away IN DNAME nsec3.test.".into(),
                "empty IN TXT \"no key here\"".into(),
                "a IN A 192.0.2.1".into(),
                "a IN AAAA 2001:db8::1".into(),
            ];
            lines.extend(hosts::lines()?);
            lines.extend((1..=8).map(|n| format!("many IN IPSECKEY {n} 0 2 . {}", rsa(n))));
            format!("$ORIGIN {zone}\n{}\n", lines.join("\n"))
        }
    })
}
