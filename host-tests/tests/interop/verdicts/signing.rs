//! Signs the tree with ldns, and damages it: the root, `lab.`, and the zones below.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use domain::utils::base64;
use ike_core::discovery::dnssec::Ds;

use super::zones::{Algorithm, Case, DATA, Damage, Denial};
use crate::Fault;
use crate::ground::Folder;

/// All zone files.
pub struct Tree {
    /// Names of the zones and their files.
    pub zones: Vec<(String, PathBuf)>,
    /// The DS record of the root's key, as text.
    pub anchor_text: String,
    /// And as it is believed.
    pub anchor: Ds,
}

/// A signed zone: lines of `owner ttl IN type data`.
struct Signed {
    apex: String,
    lines: Vec<String>,
    /// Data of DS records: its key by SHA-256, SHA-1 and SHA-384, and once damaged what the parent says.
    ds: Vec<String>,
}

impl Tree {
    pub fn make(folder: &Folder, cases: &[Case]) -> Result<Self, Fault> {
        let path = folder.inside("zones")?;
        let keys = Keys::make(&path)?;
        let mut zones = Vec::new();
        let mut lab = String::from("@ SOA ns root 1 3600 300 3600000 600\n@ NS ns\nns A 127.0.0.1\n");
        let mut unsigned = Vec::new();
        for case in cases {
            let mut signed = keys.sign(&path, case)?;
            signed.damage(case.damage);
            lab += &format!("{0} NS ns.{0}\nns.{0} A 127.0.0.1\n", case.apex);
            signed.ds.iter().for_each(|ds| lab += &format!("{} DS {ds}\n", case.apex));
            if case.damage == Damage::DsUnsigned {
                unsigned.push(case.apex.clone());
            }
            zones.push((case.apex.clone(), signed.write(&path)?));
        }
        let parent = |apex: &str, data: &str| keys.sign_data(&path, apex, data, Algorithm::P256, &[]);
        let mut lab = parent("lab.", &lab)?;
        lab.lines
            .retain(|line| !(is(line, "RRSIG DS") && unsigned.iter().any(|apex| line.starts_with(apex))));
        let root = format!(
            "@ SOA ns.lab. root.lab. 1 3600 300 3600000 600\n@ NS ns.lab.\nlab. NS ns.lab.\n\
             ns.lab. A 127.0.0.1\nlab. DS {}\n",
            lab.ds.first().ok_or("lab. has no key")?
        );
        let root = parent(".", &root)?;
        let anchor_text = root.ds.first().ok_or("the root has no key")?.clone();
        let anchor = Ds::read(&data_of(&anchor_text)?).map_err(|_| "the root's key is not supported")?;
        zones.push(("lab.".into(), lab.write(&path)?));
        zones.push((".".into(), root.write(&path)?));
        Ok(Self { zones, anchor_text, anchor })
    }
}

/// Octets of a DS record's data.
fn data_of(text: &str) -> Result<Vec<u8>, Fault> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [tag, algorithm, digest_type, digest] = words[..] else { return Err("no DS record".into()) };
    let mut data = tag.parse::<u16>()?.to_be_bytes().to_vec();
    data.extend([algorithm.parse::<u8>()?, digest_type.parse()?]);
    for at in (0..digest.len()).step_by(2) {
        data.push(u8::from_str_radix(&digest[at..at + 2], 16)?);
    }
    Ok(data)
}

/// One key for each algorithm, whose files are copied for each zone.
struct Keys {
    /// Text of the public and of the private half.
    of: BTreeMap<Algorithm, (String, String)>,
}

impl Keys {
    fn make(path: &Path) -> Result<Self, Fault> {
        let mut of = BTreeMap::new();
        for (algorithm, arguments) in [
            (Algorithm::Rsa1024Sha256, ["-a", "RSASHA256", "-b", "1024"]),
            (Algorithm::Rsa1280Sha512, ["-a", "RSASHA512", "-b", "1280"]),
            (Algorithm::Rsa2048Sha256, ["-a", "RSASHA256", "-b", "2048"]),
            (Algorithm::Rsa2048Sha512, ["-a", "RSASHA512", "-b", "2048"]),
            (Algorithm::Rsa4096Sha256, ["-a", "RSASHA256", "-b", "4096"]),
            (Algorithm::P256, ["-a", "ECDSAP256SHA256", "-b", "256"]),
            (Algorithm::P384, ["-a", "ECDSAP384SHA384", "-b", "384"]),
            (Algorithm::Ed25519, ["-a", "ED25519", "-b", "256"]),
        ] {
            let arguments = [&arguments[..], &["-k", "-r", "/dev/urandom", "key."]].concat();
            let base = said(path, "ldns-keygen", &arguments)?;
            let read = |end: &str| fs::read_to_string(path.join(format!("{}.{end}", base.trim())));
            of.insert(algorithm, (read("key")?, read("private")?));
        }
        Ok(Self { of })
    }

    fn sign(&self, path: &Path, case: &Case) -> Result<Signed, Fault> {
        let mut arguments: Vec<String> = match case.damage {
            Damage::Expired => ["-i", "20240101000000", "-e", "20240201000000"].map(Into::into).into(),
            Damage::Future => ["-i", "20600101000000", "-e", "20600201000000"].map(Into::into).into(),
            _ => Vec::new(),
        };
        if let Denial::Nsec3 { iterations, salt, opt_out } = case.denial {
            arguments.extend(["-n".into(), "-t".into(), iterations.to_string()]);
            if !salt.is_empty() {
                arguments.extend(["-s".into(), salt.into()]);
            }
            arguments.extend(opt_out.then(|| "-p".into()));
        }
        let mut data = DATA.to_owned();
        if case.damage == Damage::KeyWithSameTag {
            data += &keys_with_same_tag(&self.of[&case.algorithm].0);
        }
        self.sign_data(path, &case.apex, &data, case.algorithm, &arguments)
    }

    fn sign_data(
        &self,
        path: &Path,
        apex: &str,
        data: &str,
        algorithm: Algorithm,
        arguments: &[String],
    ) -> Result<Signed, Fault> {
        let (public, private) = &self.of[&algorithm];
        let base = format!("K{apex}");
        fs::write(path.join(format!("{base}.key")), public.replacen("key.", apex, 1))?;
        fs::write(path.join(format!("{base}.private")), private)?;
        let input = format!("$ORIGIN {apex}\n$TTL 3600\n{}\n", data.trim_start());
        fs::write(path.join(format!("{base}.zone")), input)?;
        let mut all: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (zone, output) = (format!("{base}.zone"), format!("{base}.signed"));
        all.extend(["-o", apex, "-f", &output, &zone, &base]);
        said(path, "ldns-signzone", &all)?;
        let text = fs::read_to_string(path.join(&output))?;
        let ds = |digest: &str| -> Result<String, Fault> {
            let line = said(path, "ldns-key2ds", &["-n", digest, &format!("{base}.key")])?;
            Ok(line.split("DS").nth(1).ok_or("no DS record")?.trim().to_owned())
        };
        Ok(Signed {
            apex: apex.to_owned(),
            lines: text.lines().map(|line| line.replace('\t', " ")).collect(),
            ds: vec![ds("-2")?, ds("-1")?, ds("-4")?],
        })
    }
}

fn said(folder: &Path, program: &str, arguments: &[&str]) -> Result<String, Fault> {
    let output = Command::new(program).args(arguments).current_dir(folder).output()?;
    if !output.status.success() {
        return Err(format!("{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// DNSKEY records: this key, and what is no key but has its tag and algorithm, because words of it are moved.
fn keys_with_same_tag(public: &str) -> String {
    let words: Vec<&str> = public.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "DNSKEY").expect("a key");
    let (head, key) = (words[at..at + 4].join(" "), words[at + 4]);
    let mut other: Vec<u8> = base64::decode(key).expect("base64");
    other.rotate_left(2);
    format!("@ {head} {key}\n@ {head} {}\n", base64::encode_string(&other))
}

/// Whether a line is of this type, or of `RRSIG` and the type that is covered.
fn is(line: &str, what: &str) -> bool {
    let mut words = line.split(' ').skip(3);
    what.split(' ').all(|word| words.next() == Some(word))
}

fn is_proof(line: &str) -> bool {
    is(line, "NSEC") || is(line, "NSEC3")
}

impl Signed {
    fn write(&self, path: &Path) -> Result<PathBuf, Fault> {
        let file = path.join(format!("{}db", self.apex));
        fs::write(&file, self.lines.join("\n") + "\n")?;
        Ok(file)
    }

    /// Whether a line belongs to this label.
    fn at(&self, line: &str, label: &str) -> bool {
        line.split(' ').next() == Some(&format!("{label}.{}", self.apex))
    }

    fn retain(&mut self, keep: impl Fn(&Self, &str) -> bool) {
        let kept = self.lines.iter().filter(|line| keep(self, line)).cloned().collect();
        self.lines = kept;
    }

    /// Changes one word of the lines that fit; word 3 is the type.
    fn edit(&mut self, fits: impl Fn(&Self, &str) -> bool, word: usize, edit: impl Fn(&str) -> String) {
        let edited = self.lines.iter().map(|line| {
            if !fits(self, line) {
                return line.clone();
            }
            let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            if let Some(word) = words.get_mut(word) {
                *word = edit(word);
            }
            words.join(" ")
        });
        self.lines = edited.collect();
    }

    fn damage(&mut self, damage: Damage) {
        let [sha256, sha1, sha384] =
            <[String; 3]>::try_from(std::mem::take(&mut self.ds)).expect("three digests");
        let with = |ds: &str, at: usize, with: &str| {
            let mut words: Vec<&str> = ds.split_whitespace().collect();
            words[at] = with;
            words.join(" ")
        };
        let other = with(&sha256, 3, &"00".repeat(32));
        self.ds = match damage {
            Damage::DsGone => vec![],
            Damage::DsOtherDigest => vec![other],
            Damage::DsOtherTag => vec![with(&sha256, 0, "1")],
            Damage::DsSha1Only => vec![sha1],
            Damage::DsSha1AndSha256 => vec![sha1, sha256],
            Damage::DsSha384Only => vec![sha384],
            Damage::DsUnknownDigest => vec![with(&sha256, 2, "200")],
            Damage::DsUnknownAlgorithm | Damage::KeysUnknown => vec![with(&sha256, 1, "200")],
            Damage::DsGoodAndBad => vec![other, sha256],
            Damage::DsOfTwoAlgorithms => vec![with(&with(&other, 1, "8"), 0, "2"), sha256],
            _ => vec![sha256],
        };
        self.damage_records(damage);
    }

    fn damage_records(&mut self, damage: Damage) {
        let www = |signed: &Self, line: &str| signed.at(line, "www") && is(line, "A");
        let signature = |signed: &Self, line: &str| signed.at(line, "www") && is(line, "RRSIG A");
        // That of the apex stays: without it BIND takes the zone for unsigned.
        let top = self.lines.iter().find(|line| is_proof(line) && line.contains(" SOA ")).cloned();
        let top = top.unwrap_or_default();
        let top = top.split(' ').next().unwrap_or_default();
        let is_denial = |line: &str| is_proof(line) && !line.starts_with(top);
        let is_denial_signature =
            |line: &str| (is(line, "RRSIG NSEC") || is(line, "RRSIG NSEC3")) && !line.starts_with(top);
        match damage {
            Damage::Unsigned => self.retain(|signed, line| !signature(signed, line)),
            Damage::OtherData => self.edit(www, 4, |address| address.replace("192.0.2.1", "192.0.2.66")),
            Damage::ExtraRecord => self.lines.push(format!("www.{} 3600 IN A 192.0.2.66", self.apex)),
            Damage::RecordGone => self.retain(|signed, line| !(www(signed, line) && line.ends_with(".2.1"))),
            Damage::ForeignSigner => self.edit(signature, 11, |_| "lab.".into()),
            Damage::MoreLabels => self.edit(signature, 6, |_| "4".into()),
            Damage::FewerLabels => self.edit(signature, 6, |_| "2".into()),
            Damage::OtherTag => self.edit(signature, 10, |_| "1".into()),
            Damage::OtherAlgorithm => self.edit(signature, 5, |_| "8".into()),
            Damage::LaterExpiration => self.edit(signature, 8, |_| "20370101000000".into()),
            Damage::LongerTtl => self.edit(|signed, line| signed.at(line, "www"), 1, |_| "7200".into()),
            Damage::OtherCase => self.edit(|signed, line| signed.at(line, "www"), 0, str::to_uppercase),
            Damage::SecondBadSignature => self.copy_signature(signature, 1),
            Damage::ManyBadSignatures => self.copy_signature(signature, 20),
            Damage::WildcardUnsigned => {
                self.retain(|signed, line| !(signed.at(line, "*.wild") && is(line, "RRSIG A")));
            }
            Damage::AliasUnsigned => self.retain(|_, line| !is(line, "RRSIG CNAME")),
            Damage::DnameUnsigned => self.retain(|_, line| !is(line, "RRSIG DNAME")),
            Damage::SoaUnsigned => self.retain(|_, line| !is(line, "RRSIG SOA")),
            Damage::DenialsGone => self.retain(|_, line| !is_denial(line) && !is_denial_signature(line)),
            Damage::DenialsUnsigned => self.retain(|_, line| !is_denial_signature(line)),
            Damage::DenialsAltered => {
                self.lines.iter_mut().filter(|line| is_denial(line)).for_each(|line| *line += " TYPE1234");
            }
            Damage::KeysUnsigned => self.retain(|_, line| !is(line, "RRSIG DNSKEY")),
            Damage::KeysGone => self.retain(|_, line| !is(line, "DNSKEY") && !is(line, "RRSIG DNSKEY")),
            Damage::KeyRevoked => self.edit(|_, line| is(line, "DNSKEY"), 4, |_| "385".into()),
            Damage::KeyNotOfZone => self.edit(|_, line| is(line, "DNSKEY"), 4, |_| "1".into()),
            Damage::KeyOfOtherProtocol => self.edit(|_, line| is(line, "DNSKEY"), 5, |_| "2".into()),
            Damage::KeysUnknown => {
                self.edit(|_, line| is(line, "DNSKEY"), 6, |_| "200".into());
                self.edit(|_, line| is(line, "RRSIG"), 5, |_| "200".into());
            }
            _ => {}
        }
    }

    /// Copies of a signature in front of it, each broken in another way.
    fn copy_signature(&mut self, fits: impl Fn(&Self, &str) -> bool, copies: usize) {
        let at = self.lines.iter().position(|line| fits(self, line)).expect("a signature");
        let line = self.lines[at].clone();
        let (head, signature) = line.rsplit_once(' ').expect("words");
        let mut octets: Vec<u8> = base64::decode(signature).expect("base64");
        for copy in 0..copies {
            octets[copy] ^= 1;
            let signature: String = base64::encode_string(&octets);
            self.lines.insert(at, format!("{head} {signature}"));
        }
    }
}
