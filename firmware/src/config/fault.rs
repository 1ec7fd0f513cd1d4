//! What can be wrong with a configuration: which entry, what it is, what to write instead.

use core::fmt;

use ike_core::config::BadTiming;

/// One entry of a configuration and what is wrong with it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// Which entry.
    pub entry: Entry,
    /// What is wrong.
    pub fault: Fault,
}

/// An entry; those of a list by their place, from 0.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    /// The device's own identity.
    Identity,
    /// The device's own key.
    Key,
    /// The list of ports.
    Interfaces,
    /// One port.
    Interface(u8),
    /// A static route.
    Route(u8),
    /// A peer.
    Peer(u8),
    /// A policy.
    Policy(u8),
    /// The list of suites.
    Suites,
    /// The durations.
    Timing,
    /// Whence the time of day is.
    Clock,
    /// How names are looked up.
    Resolver,
    /// Our own name in DNS.
    Publication,
}

/// What is wrong with an entry.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// A host has another number of ports than one.
    HostPorts,
    /// A gateway has another number of ports than two.
    GatewayPorts,
    /// A port without an address.
    NoAddress,
    /// Two addresses of one family on one port.
    SecondOfFamily,
    /// A host has another route than a default one.
    HostRoute,
    /// Not an address that a device can have.
    NotUnicast,
    /// A prefix longer than its addresses.
    PrefixLength,
    /// A network with bits behind its prefix.
    HostBits,
    /// Two ports attached to the same network.
    SameNetwork,
    /// A route's neighbour is on no attached network.
    Unreachable,
    /// A route or a peer leads to ourselves.
    Ourselves,
    /// DHCP on the inner port.
    DhcpInside,
    /// A policy for an address of ours that DHCP may never give.
    FixedLocal,
    /// An address by order, where DHCP gives it.
    FromDhcp,
    /// A lease that ends at once.
    ShortLease,
    /// An address that belongs to somebody else.
    Others,
    /// The device has no address of this family that another could take the place of.
    NoSuchFamily,
    /// Addresses of both families where one is meant.
    MixedFamilies,
    /// Not a host name as RFC 1123 has them.
    BadName,
    /// An identity without octets.
    EmptyIdentity,
    /// A name is missing.
    NoName,
    /// Two peers of one name.
    DuplicateName,
    /// Two peers of one identity.
    DuplicateIdentity,
    /// A peer without an identity that is not the BTNS wildcard.
    NoIdentity,
    /// A peer has the device's own identity.
    OwnIdentity,
    /// A peer without a key, fingerprint or secret.
    NoCredential,
    /// Not the SubjectPublicKeyInfo of a kind of key that is known.
    UnknownKey,
    /// A shared key that can be guessed.
    ShortSharedKey,
    /// IKE on another port than its two.
    IkePort,
    /// A post-quantum preshared key without a name.
    NamelessPpk,
    /// A post-quantum preshared key that a quantum computer could guess (RFC 8784 §6).
    ShortPpk,
    /// A peer that authenticates by signature although the device has no key of its own.
    NoOwnKey,
    /// A key that is zero.
    ZeroKey,
    /// An RSA key of a size or with an exponent that is not supported.
    BadRsaKey,
    /// The BTNS wildcard with an identity, an address, ranges or a post-quantum preshared key.
    NarrowWildcard,
    /// A peer behind the BTNS wildcard.
    BehindWildcard,
    /// A peer to call at once, without an address.
    NoWay,
    /// DNS is asked for names only, or for the addresses of a network.
    NotByName,
    /// The end of names does not begin with a dot, or what follows is none.
    BadSuffix,
    /// A peer whose key is in DNS, and no server that could be asked.
    NoResolver,
    /// A resolver without server.
    NoServer,
    /// The time is to be asked of nobody.
    NoTimeServer,
    /// One time server would be counted twice.
    SameTimeServer,
    /// Time servers that are not asked.
    IdleTimeServer,
    /// The time of servers is proven by nobody.
    UnprovenTime,
    /// A server that is believed and not asked.
    BelievedStranger,
    /// A server that is believed over a way that nothing protects.
    UnprotectedBelief,
    /// A trust anchor that is no DS record with a supported digest.
    BadAnchor,
    /// Names of clients are captured on a host, which has no clients.
    CaptureOnHost,
    /// Names of clients are captured, and no policy lets anything of theirs pass in clear.
    NothingToRaise,
    /// A pattern of names that is none.
    BadPattern,
    /// Answers are held for longer than clients wait.
    LongHold,
    /// Something is to be published, and names or secret are none.
    BadPublication,
    /// No key, or one that is too long for a device to publish.
    LongPublication,
    /// A far side that is wherever its peer is, and no peer that is known by name.
    RemoteOfNobody,
    /// A range of ports that ends before it begins.
    PortOrder,
    /// Ports of a protocol without ports.
    NoPorts,
    /// A policy names a peer that is not there.
    UnknownPeer,
    /// A policy that protects asks for no authentication at all.
    ClearMinimum,
    /// A policy names an authenticated peer and is content with less.
    MinimumTooLow,
    /// A policy asks for more than its peer can show.
    MinimumTooHigh,
    /// A policy that protects, and no peer that could.
    NoPeer,
    /// Transport mode for somebody else's addresses.
    ForeignTransport,
    /// Tunnel mode on a host.
    HostTunnel,
    /// Traffic that the policy's peer may not speak for.
    OutsideRanges,
    /// Everything that the policy matches is matched by an earlier one.
    Shadowed,
    /// No suite at all.
    NoSuite,
    /// A suite that does not encrypt IKE's own messages.
    ReadableIke,
    /// A duration or count that stops the device from ever reaching anyone.
    ZeroTiming,
    /// Durations that cannot work together.
    Timing(BadTiming),
    /// Datagrams into which hardly anything fits, or longer than a link carries.
    Datagram,
}

impl Fault {
    /// What is wrong and what to write instead, for an operator.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::HostPorts => "a host has one port: leave one interface, or write role \"gateway\"",
            Self::GatewayPorts => {
                "a gateway has two ports: write two interfaces, the one towards the peers first"
            }
            Self::NoAddress => "an interface needs an address with its prefix length, such as 192.0.2.1/24",
            Self::SecondOfFamily => "one IPv4 and one IPv6 address an interface: remove the other one",
            Self::HostRoute => "a host has default routes only: write 0.0.0.0/0 or ::/0, or role \"gateway\"",
            Self::NotUnicast => "this address cannot belong to a device: write a unicast address",
            Self::PrefixLength => "a prefix length is at most 32 for IPv4 and 128 for IPv6",
            Self::HostBits => {
                "bits behind the prefix are set: write the network's own address, or a longer prefix"
            }
            Self::SameNetwork => "both interfaces are attached to this network: give each its own",
            Self::Unreachable => {
                "no interface is attached to this neighbour's network: name a neighbour that is"
            }
            Self::Ourselves => "this is the device's own address: name the other end",
            Self::DhcpInside => "only the outer address may come from DHCP: write one, such as 10.1.0.1/16",
            Self::FixedLocal => "the outer address comes from DHCP and may be any: write local = \"outer\"",
            Self::FromDhcp => {
                "a DHCP server gives this address: write one in the configuration instead of dhcp"
            }
            Self::ShortLease => "the lease would end within a minute",
            Self::Others => {
                "this address is a peer's or a server's, or behind a peer: the device cannot have it"
            }
            Self::NoSuchFamily => {
                "the outer interface has no address of this family: write one in the configuration first"
            }
            Self::MixedFamilies => "IPv4 and IPv6 are mixed: write an entry for each",
            Self::BadName => "not a host name: letters, digits, hyphens and dots, such as router.example",
            Self::EmptyIdentity => "an identity needs octets: write a name, an address or a key ID",
            Self::NoName => "give it a name: status and reasons are shown under it",
            Self::DuplicateName => "an earlier peer has this name: names tell peers apart",
            Self::DuplicateIdentity => "an earlier peer has this identity and would always match first",
            Self::NoIdentity => "say whom this peer has to claim to be, or make it the BTNS wildcard",
            Self::OwnIdentity => "this is the device's own identity: write the peer's",
            Self::NoCredential => {
                "nothing to authenticate by: write its public key, a fingerprint or a shared key"
            }
            Self::UnknownKey => {
                "not a public key that is understood: write an Ed25519, P-256, P-384 or RSA SubjectPublicKeyInfo"
            }
            Self::IkePort => "IKE begins on port 500, or on 4500 where 500 does not get through",
            Self::NamelessPpk => "a post-quantum preshared key needs an id that the peer knows it by",
            Self::ShortPpk => "a post-quantum preshared key needs at least 32 random octets",
            Self::ShortSharedKey => "a shared key needs at least 16 random octets",
            Self::NoOwnKey => {
                "the device has no key of its own to sign with: make one, or use shared keys only"
            }
            Self::ZeroKey => "this key is all zero: make a new one",
            Self::BadRsaKey => {
                "this RSA key is not supported here: 2,048 bits always are, 65,537 as exponent"
            }
            Self::NarrowWildcard => "this entry is for anyone: remove identity, address, ranges and ppk",
            Self::BehindWildcard => {
                "the entries for anyone come last, btns before null, one of each: move them to the end"
            }
            Self::NoWay => "a peer to call at once needs an address, or start \"on-traffic\" or \"never\"",
            Self::NotByName => {
                "keys come from DNS for a host name, for names with an end, or for a network: write one of these, \
                 without address and ppk where it is no single name"
            }
            Self::BadSuffix => "write the end of the peers' names with its dot, such as .customers.example",
            Self::NoResolver => "its key is in DNS: add [dns] with servers = [\"192.0.2.53\"]",
            Self::NoServer => "name the servers to ask: servers = [\"192.0.2.53\"]",
            Self::NoTimeServer => "name the servers to ask: servers = [\"192.0.2.123\"]",
            Self::SameTimeServer => {
                "time servers are compared, and one that is there twice would agree with itself: write it once"
            }
            Self::IdleTimeServer => {
                "servers are asked with source = \"sntp\" only: write that, or remove them"
            }
            Self::UnprovenTime => {
                "a time from the network is proven by the keys of DNS's root: add [dns] with servers = [\"192.0.2.53\"]"
            }
            Self::BelievedStranger => "only a server that is asked can be believed: add it to servers",
            Self::UnprotectedBelief => {
                "anybody could speak for this server: add a policy that protects all traffic with it by a peer with a \
                 pinned or shared key, or remove it from believe and have its answers validated"
            }
            Self::BadAnchor => {
                "a trust anchor is a DS record with a SHA-256 or SHA-384 digest, as the root zone's"
            }
            Self::CaptureOnHost => {
                "a host has no clients whose names could be captured: remove [dns.capture], or write role \"gateway\""
            }
            Self::NothingToRaise => {
                "found addresses are protected where traffic would pass in clear: add a policy for all protocols with \
                 action \"bypass\""
            }
            Self::BadPattern => {
                "write a name such as www.example, .example for all names below it, or . for every name"
            }
            Self::LongHold => "clients ask again after 1500 ms: write a hold-ms of 1500 or less",
            Self::BadPublication => {
                "publishing takes a name in its zone, and a secret of 16 to 64 octets with the name of its key"
            }
            Self::LongPublication => {
                "a device publishes Ed25519, P-256, P-384 and RSA keys of up to 2,048 bits: take one of these, or use \
                 `buttons publish`"
            }
            Self::RemoteOfNobody => {
                "only a policy with action \"protect\" and a peer that is known by name has its far side there: write an \
                 address with its prefix length"
            }
            Self::PortOrder => "the last port lies before the first: swap them",
            Self::NoPorts => {
                "only TCP (6), UDP (17), DCCP (33), SCTP (132) and UDP-Lite (136) have ports: name one"
            }
            Self::UnknownPeer => "no peer has this name: write one of the names under peers",
            Self::ClearMinimum => {
                "only where DNS tells who has a key may others pass in clear: name a peer with dns-network or dns-suffix"
            }
            Self::MinimumTooLow => {
                "the policy names a peer that authenticates: write minimum \"shared\" or above"
            }
            Self::MinimumTooHigh => {
                "its peer can never show that much: lower the minimum or strengthen the peer"
            }
            Self::NoPeer => "no peer could protect this: add one, or write bypass or discard",
            Self::ForeignTransport => {
                "transport mode is for the device's own addresses: write mode \"tunnel\""
            }
            Self::HostTunnel => "a host uses transport mode: write mode \"transport\", or role \"gateway\"",
            Self::OutsideRanges => {
                "its peer may not speak for these addresses: add them to the peer's ranges"
            }
            Self::Shadowed => "an earlier policy matches all of this: move this one before it, or remove it",
            Self::NoSuite => "nothing could be negotiated: write \"fast-software\", \"hardware-aes\" or both",
            Self::ReadableIke => {
                "IKE's own messages must be encrypted: write a cipher that does before the group, and this one \
                 behind a slash, as in aes128gcm16-p256/aes128gmac"
            }
            Self::Timing(reason) => timing_advice(reason),
            Self::ZeroTiming => "0 here means that no peer is ever reached: write at least 1",
            Self::Datagram => {
                "write 256 to 1500 octets, such as 1280 or 576; or 0 never to fragment IKE messages"
            }
        }
    }
}

const fn timing_advice(reason: BadTiming) -> &'static str {
    match reason {
        BadTiming::Unreachable => "0 here means that no peer is ever reached: write at least 1",
        BadTiming::SoftNotBeforeHard | BadTiming::ShortMargin => {
            "the last sixth of a Child SA's life is for its successor, and the tries of a request may take longer: write \
             a longer child-lifetime-s, or fewer tries"
        }
        BadTiming::LongLiveness => {
            "a Child SA ends before its dead peer would be noticed: write a shorter liveness-s, or fewer tries"
        }
        BadTiming::ShortIkeLifetime => {
            "an IKE SA ends before its dead peer would be noticed: write a longer ike-lifetime-s, or fewer tries"
        }
        BadTiming::ShortReauthentication => {
            "a tenth of this time is left to reauthenticate in, and the tries of a request may take longer: write a \
             longer reauthentication-s, or 0 for never"
        }
        BadTiming::LongReauthentication => {
            "the IKE SA is over before that: write a shorter reauthentication-s, or a longer ike-lifetime-s"
        }
        BadTiming::LongKeepalive => "NATs forget after 30 s: write a keepalive-s of 30 or less",
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry {
            Entry::Identity => f.write_str("identity"),
            Entry::Key => f.write_str("key"),
            Entry::Interfaces => f.write_str("interfaces"),
            Entry::Interface(n) => write!(f, "interface {}", u16::from(n) + 1),
            Entry::Route(n) => write!(f, "route {}", u16::from(n) + 1),
            Entry::Peer(n) => write!(f, "peer {}", u16::from(n) + 1),
            Entry::Policy(n) => write!(f, "policy {}", u16::from(n) + 1),
            Entry::Suites => f.write_str("suites"),
            Entry::Timing => f.write_str("timing"),
            Entry::Clock => f.write_str("clock"),
            Entry::Resolver => f.write_str("dns"),
            Entry::Publication => f.write_str("dns.publish"),
        }?;
        write!(f, ": {}", self.fault.advice())
    }
}

impl core::error::Error for Refused {}
