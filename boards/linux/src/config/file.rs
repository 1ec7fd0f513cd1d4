//! The file as it is written: tables, fields and words, each value with its place.

use std::ops::Range;

use esp_engine::crypto::Algorithm;
use esp_engine::sa::Mode;
use esp_engine::spd::Level;
use firmware::config::clock::Source;
use firmware::config::{Role, Start, Suite, Timing};
use ike_core::config::BadTiming;
use ike_core::crypto::{Group, Prf};
use ike_core::discovery::proxy::settings::Fate;
use ike_core::discovery::update::Form;
use serde::Deserialize;
use toml::Spanned;

/// Text with its place in the file.
pub type Text = Spanned<String>;

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Written {
    pub role: Spanned<RoleWord>,
    pub identity: Text,
    pub key: Option<Text>,
    pub suites: Option<Vec<Spanned<SuiteWord>>>,
    #[serde(default)]
    pub force_encapsulation: bool,
    #[serde(default)]
    pub mobike: bool,
    pub socket: Option<Text>,
    pub state: Option<Text>,
    #[serde(default)]
    pub interface: Vec<Spanned<InterfaceTable>>,
    #[serde(default)]
    pub route: Vec<Spanned<RouteTable>>,
    #[serde(default)]
    pub peer: Vec<Spanned<PeerTable>>,
    #[serde(default)]
    pub policy: Vec<Spanned<PolicyTable>>,
    pub timing: Option<Spanned<TimingTable>>,
    pub clock: Option<Spanned<ClockTable>>,
    pub dns: Option<Spanned<DnsTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ClockTable {
    pub source: SourceWord,
    #[serde(default)]
    pub servers: Vec<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DnsTable {
    #[serde(default)]
    pub servers: Vec<Text>,
    pub anchors: Option<Text>,
    #[serde(default)]
    pub believe: Vec<Text>,
    #[serde(default)]
    pub fingerprints: bool,
    pub capture: Option<CaptureTable>,
    pub publish: Option<Spanned<PublishTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CaptureTable {
    #[serde(default)]
    pub allow: Vec<Text>,
    #[serde(default)]
    pub require: Vec<Text>,
    #[serde(default)]
    pub block: Vec<Text>,
    #[serde(default)]
    pub private: Vec<Text>,
    pub bogus: Option<FateWord>,
    pub full: Option<FateWord>,
    pub hook: Option<Text>,
    pub max_ttl: Option<u32>,
    pub hold_ms: Option<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PublishTable {
    pub server: Text,
    pub secret: Text,
    pub name: Option<Text>,
    pub zone: Option<Text>,
    pub addresses: Option<bool>,
    pub ttl: Option<u32>,
    pub form: Option<FormWord>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct InterfaceTable {
    pub device: Text,
    pub addresses: Spanned<Vec<Text>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RouteTable {
    pub to: Text,
    pub via: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PeerTable {
    pub name: Text,
    pub identity: Option<Text>,
    pub address: Option<Text>,
    pub port: Option<u16>,
    pub key: Option<Spanned<OneOrMore>>,
    pub fingerprint: Option<Spanned<OneOrMore>>,
    pub shared_key: Option<Text>,
    pub dns: Option<Text>,
    pub dns_suffix: Option<Text>,
    pub dns_network: Option<Text>,
    #[serde(default)]
    pub from_anywhere: bool,
    #[serde(default)]
    pub wildcards: bool,
    #[serde(default)]
    pub or_stranger: bool,
    pub btns: Option<Spanned<bool>>,
    pub first_use: Option<Spanned<bool>>,
    pub replace_after_h: Option<Spanned<u16>>,
    pub null: Option<Spanned<bool>>,
    #[serde(default)]
    pub ranges: Vec<Text>,
    pub start: Option<StartWord>,
    #[serde(default)]
    pub childless: bool,
    pub ppk: Option<Spanned<PpkTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PpkTable {
    pub id: Text,
    pub secret: Text,
    #[serde(default)]
    pub optional: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PolicyTable {
    pub name: Text,
    pub local: Text,
    pub remote: Option<Text>,
    pub protocol: Option<Spanned<ProtocolText>>,
    pub local_ports: Option<Spanned<PortsText>>,
    pub remote_ports: Option<Spanned<PortsText>>,
    pub action: Spanned<ActionWord>,
    pub mode: Option<ModeWord>,
    pub minimum: Option<LevelWord>,
    pub peer: Option<Text>,
    pub pfs: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TimingTable {
    retransmit_ms: Option<Spanned<u32>>,
    tries: Option<Spanned<u8>>,
    liveness_s: Option<Spanned<u32>>,
    child_lifetime_s: Option<Spanned<u32>>,
    ike_lifetime_s: Option<Spanned<u32>>,
    reauthentication_s: Option<Spanned<u32>>,
    keepalive_s: Option<Spanned<u32>>,
    retry_s: Option<Spanned<u32>>,
    datagram: Option<Spanned<u16>>,
}

impl TimingTable {
    pub fn build(&self) -> Timing {
        fn or<T: Copy>(written: &Option<Spanned<T>>, default: T) -> T {
            written.as_ref().map_or(default, |value| *value.get_ref())
        }
        let default = Timing::default();
        Timing {
            retransmit_ms: or(&self.retransmit_ms, default.retransmit_ms),
            tries: or(&self.tries, default.tries),
            liveness_s: or(&self.liveness_s, default.liveness_s),
            child_lifetime_s: or(&self.child_lifetime_s, default.child_lifetime_s),
            ike_lifetime_s: or(&self.ike_lifetime_s, default.ike_lifetime_s),
            reauthentication_s: or(&self.reauthentication_s, default.reauthentication_s),
            keepalive_s: or(&self.keepalive_s, default.keepalive_s),
            retry_s: or(&self.retry_s, default.retry_s),
            datagram: or(&self.datagram, default.datagram),
        }
    }

    /// Where the value stands that cannot work, if it was written at all.
    pub fn place(&self, reason: BadTiming) -> Option<Range<usize>> {
        let value = match reason {
            BadTiming::Unreachable => &self.retransmit_ms,
            BadTiming::SoftNotBeforeHard | BadTiming::ShortMargin => &self.child_lifetime_s,
            BadTiming::LongLiveness => &self.liveness_s,
            BadTiming::ShortIkeLifetime => &self.ike_lifetime_s,
            BadTiming::ShortReauthentication | BadTiming::LongReauthentication => &self.reauthentication_s,
            BadTiming::LongKeepalive => &self.keepalive_s,
        };
        let tries = self.tries.as_ref().map(Spanned::span);
        value.as_ref().map(Spanned::span).or(tries)
    }
}

/// One text, or a list of them.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected text, or a list of texts")]
pub enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    /// Each text, at the place of all (an untagged value keeps no places within).
    pub fn texts(all: &Spanned<Self>) -> impl Iterator<Item = Text> {
        let texts = match all.get_ref() {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(more) => more,
        };
        texts.iter().map(|text| Spanned::new(all.span(), text.clone()))
    }
}

/// A port, or `"first-last"`.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a port such as 179, or a range such as \"1024-2047\"")]
pub enum PortsText {
    One(u16),
    Range(String),
}

/// A protocol's number or name.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected a protocol's number, or one of \"tcp\", \"udp\", \"icmp\", \"icmpv6\""
)]
pub enum ProtocolText {
    Number(u8),
    Name(String),
}

#[derive(Copy, Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActionWord {
    Protect,
    Bypass,
    Discard,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident is $target:ty { $($word:literal => $value:expr),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Copy, Clone)]
        pub struct $name(pub $target);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let word = String::deserialize(from)?;
                match word.as_str() {
                    $($word => Ok(Self($value)),)+
                    _ => Err(serde::de::Error::unknown_variant(&word, &[$($word),+])),
                }
            }
        }
    };
}

words!(RoleWord is Role { "host" => Role::Host, "gateway" => Role::Gateway });
words!(StartWord is Start { "on-traffic" => Start::OnTraffic, "at-once" => Start::AtOnce, "never" => Start::Never });
words!(ModeWord is Mode { "transport" => Mode::Transport, "tunnel" => Mode::Tunnel });
words!(SourceWord is Source { "board" => Source::Board, "operator" => Source::Operator, "sntp" => Source::Sntp });
words!(FormWord is Form { "key" => Form::Key, "fingerprint" => Form::Fingerprint });
words!(FateWord is Fate { "release" => Fate::Release, "refuse" => Fate::Refuse });
words!(LevelWord is Level {
    "clear" => Level::Clear,
    "null" => Level::Null,
    "any" => Level::Any,
    "first" => Level::First,
    "known" => Level::Known,
    "shared" => Level::Shared,
    "validated" => Level::Validated,
    "pinned" => Level::Pinned,
});

/// A named suite, or one's own: a cipher, a PRF unless it is HMAC-SHA2-256, a group, and behind a slash
/// another cipher for packets.
#[derive(Copy, Clone)]
pub struct SuiteWord(pub Suite);

impl<'de> Deserialize<'de> for SuiteWord {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let word = String::deserialize(from)?;
        let named = match word.as_str() {
            "fast-software" => Some(Suite::FastSoftware),
            "hardware-aes" => Some(Suite::HardwareAes),
            "post-quantum" => Some(Suite::PostQuantum),
            "compat" => Some(Suite::Compat),
            chosen => custom_suite(chosen),
        };
        named.map(Self).ok_or_else(|| {
            serde::de::Error::custom(format_args!(
                "\"{word}\" is not a suite: write fast-software, hardware-aes, post-quantum, compat, or a cipher \
                 (aes128gcm16, aes256gcm16, chacha20poly1305, aes128-sha256, aes256-sha256), a PRF (prfsha256, \
                 prfsha384, prfsha512; left out it is prfsha256) and a group (curve25519, p256, p384, modp2048, mlkem512) such as \
                 aes256gcm16-prfsha384-p256, and where packets need no encryption a slash and null-sha256, \
                 aes128gmac or aes256gmac"
            ))
        })
    }
}

const CIPHERS: [(&str, Algorithm); 8] = [
    ("aes128gcm16", Algorithm::Aes128Gcm16),
    ("aes256gcm16", Algorithm::Aes256Gcm16),
    ("chacha20poly1305", Algorithm::ChaCha20Poly1305),
    ("aes128-sha256", Algorithm::Aes128CbcHmacSha256),
    ("aes256-sha256", Algorithm::Aes256CbcHmacSha256),
    ("null-sha256", Algorithm::NullHmacSha256),
    ("aes128gmac", Algorithm::Aes128Gmac),
    ("aes256gmac", Algorithm::Aes256Gmac),
];

fn custom_suite(word: &str) -> Option<Suite> {
    let (word, packets) = word.split_once('/').map_or((word, None), |(word, packets)| (word, Some(packets)));
    let behind = |name: &str| word.strip_prefix(name)?.strip_prefix('-');
    let (ike, rest) = CIPHERS.iter().find_map(|(name, cipher)| Some((*cipher, behind(name)?)))?;
    let esp = match packets {
        None => ike,
        Some(packets) => CIPHERS.iter().find(|(name, _)| *name == packets)?.1,
    };
    let (prf, group) = match rest.split_once('-') {
        None => (Prf::HmacSha256, rest),
        Some(("prfsha256", group)) => (Prf::HmacSha256, group),
        Some(("prfsha384", group)) => (Prf::HmacSha384, group),
        Some(("prfsha512", group)) => (Prf::HmacSha512, group),
        Some(_) => return None,
    };
    let group = match group {
        "curve25519" => Group::Curve25519,
        "p256" => Group::P256,
        "p384" => Group::P384,
        "modp2048" => Group::Modp2048,
        "mlkem512" => Group::MlKem512,
        _ => return None,
    };
    Some(Suite::Custom { ike, prf, group, esp })
}
