//! The zones: all have the same data; they differ by algorithm, kind of denial, and damage.

use std::fmt;

/// What is in each zone.
pub const DATA: &str = "
@ SOA ns root 1 3600 300 3600000 600
@ NS ns
ns A 127.0.0.1
www A 192.0.2.1
www A 192.0.2.2
*.wild A 192.0.2.3
a.ent A 192.0.2.4
alias CNAME www
tree DNAME other
x.other A 192.0.2.5
sub NS ns.sub
mail MX 10 Www
mail MX 5 ns.Sub
key IPSECKEY 10 0 4 . 3WTXgUvpn1RlCXnm80gGY2LZ/ErUUEZtZ33IDi8yfhM=
";

/// A name in the zone and a type.
#[derive(Copy, Clone)]
pub struct Question {
    pub label: &'static str,
    pub rtype: &'static str,
}

const fn question(label: &'static str, rtype: &'static str) -> Question {
    Question { label, rtype }
}

pub const QUESTIONS: [Question; 13] = [
    question("www", "A"),
    question("key", "IPSECKEY"),
    question("mail", "MX"),
    question("alias", "A"),
    question("x.tree", "A"),
    question("a.wild", "A"),
    question("a.b.wild", "A"),
    question("www", "TXT"),
    question("nx", "A"),
    question("a.b.nx", "IPSECKEY"),
    question("ent", "A"),
    question("a.wild", "TXT"),
    question("sub", "DS"),
];

impl Question {
    /// Whether the answer rests on NSEC or NSEC3 records.
    pub fn is_denied(self) -> bool {
        matches!(
            (self.label, self.rtype),
            ("a.wild" | "a.b.wild" | "nx" | "a.b.nx" | "ent" | "sub", _) | (_, "TXT")
        )
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.label, self.rtype)
    }
}

#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Algorithm {
    Rsa1024Sha256,
    Rsa1280Sha512,
    Rsa2048Sha256,
    Rsa2048Sha512,
    Rsa4096Sha256,
    P256,
    P384,
    Ed25519,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Denial {
    Nsec,
    Nsec3 { iterations: u16, salt: &'static str, opt_out: bool },
}

/// What is done to a zone, or to what its parent says of it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Damage {
    Nothing,
    Expired,
    Future,
    Unsigned,
    OtherData,
    ExtraRecord,
    RecordGone,
    ForeignSigner,
    MoreLabels,
    FewerLabels,
    OtherTag,
    OtherAlgorithm,
    LaterExpiration,
    LongerTtl,
    OtherCase,
    SecondBadSignature,
    ManyBadSignatures,
    WildcardUnsigned,
    AliasUnsigned,
    DnameUnsigned,
    SoaUnsigned,
    DenialsGone,
    DenialsUnsigned,
    DenialsAltered,
    DsGone,
    DsOtherDigest,
    DsOtherTag,
    DsSha1Only,
    DsSha1AndSha256,
    DsSha384Only,
    DsUnknownDigest,
    DsUnknownAlgorithm,
    DsGoodAndBad,
    DsOfTwoAlgorithms,
    DsUnsigned,
    KeysUnsigned,
    KeysGone,
    KeyRevoked,
    KeyNotOfZone,
    KeyOfOtherProtocol,
    KeyWithSameTag,
    KeysUnknown,
}

const DAMAGES: [Damage; 42] = {
    use Damage::*;
    [
        Nothing,
        Expired,
        Future,
        Unsigned,
        OtherData,
        ExtraRecord,
        RecordGone,
        ForeignSigner,
        MoreLabels,
        FewerLabels,
        OtherTag,
        OtherAlgorithm,
        LaterExpiration,
        LongerTtl,
        OtherCase,
        SecondBadSignature,
        ManyBadSignatures,
        WildcardUnsigned,
        AliasUnsigned,
        DnameUnsigned,
        SoaUnsigned,
        DenialsGone,
        DenialsUnsigned,
        DenialsAltered,
        DsGone,
        DsOtherDigest,
        DsOtherTag,
        DsSha1Only,
        DsSha1AndSha256,
        DsSha384Only,
        DsUnknownDigest,
        DsUnknownAlgorithm,
        DsGoodAndBad,
        DsOfTwoAlgorithms,
        DsUnsigned,
        KeysUnsigned,
        KeysGone,
        KeyRevoked,
        KeyNotOfZone,
        KeyOfOtherProtocol,
        KeyWithSameTag,
        KeysUnknown,
    ]
};

impl Damage {
    /// Whether it may not show in what we find: the zone is as good as before, or it depends on the order of
    /// signatures in the answer.
    pub fn is_harmless(self) -> bool {
        use Damage as D;
        let is_good_ds = matches!(
            self,
            D::DsGoodAndBad | D::DsOfTwoAlgorithms | D::DsSha1AndSha256 | D::DsSha384Only | D::KeyWithSameTag
        );
        is_good_ds
            || matches!(self, D::LongerTtl | D::OtherCase | D::SoaUnsigned)
            || matches!(self, D::SecondBadSignature | D::ManyBadSignatures)
    }
}

/// One zone below `lab.`
pub struct Case {
    pub apex: String,
    pub algorithm: Algorithm,
    pub denial: Denial,
    pub damage: Damage,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {:?} {:?}", self.apex, self.algorithm, self.denial, self.damage)
    }
}

const fn nsec3(iterations: u16, salt: &'static str, opt_out: bool) -> Denial {
    Denial::Nsec3 { iterations, salt, opt_out }
}

/// Every damage with either kind of denial; every algorithm, good and bad; every way to hash.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    let mut add = |algorithm, denial, damage| {
        all.push(Case { apex: format!("z{}.lab.", all.len()), algorithm, denial, damage });
    };
    for algorithm in [Algorithm::Ed25519, Algorithm::P256] {
        for denial in [Denial::Nsec, nsec3(0, "", false)] {
            DAMAGES.iter().for_each(|damage| add(algorithm, denial, *damage));
        }
    }
    DAMAGES.iter().for_each(|damage| add(Algorithm::Ed25519, nsec3(3, "c0ffee", true), *damage));
    for algorithm in [
        Algorithm::Rsa1024Sha256,
        Algorithm::Rsa1280Sha512,
        Algorithm::Rsa2048Sha256,
        Algorithm::Rsa2048Sha512,
        Algorithm::Rsa4096Sha256,
        Algorithm::P384,
    ] {
        for damage in [Damage::Nothing, Damage::OtherData, Damage::DenialsAltered] {
            add(algorithm, Denial::Nsec, damage);
        }
    }
    for (iterations, salt) in
        [(1, "00"), (12, "aabbccdd"), (50, ""), (51, ""), (150, ""), (151, ""), (500, "ab")]
    {
        for opt_out in [false, true] {
            add(Algorithm::Ed25519, nsec3(iterations, salt, opt_out), Damage::Nothing);
        }
    }
    all
}
