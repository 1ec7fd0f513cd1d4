//! RSA keys (RFC 8017 §3) in memory of a fixed size. A number that is no key cannot be held: modulus and
//! exponent are judged once, when a key is made of them, and nothing is computed with them before.

use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// Octets of the longest modulus, decided by the features `rsa` and `rsa-4096`; 0 holds no key.
pub const MAX_MODULUS: usize = if cfg!(feature = "rsa-4096") {
    512
} else if cfg!(feature = "rsa") {
    256
} else {
    0
};

/// Octets of the shortest modulus.
pub const MIN_MODULUS: usize = 256;

/// The smallest public exponent (FIPS 186-5 §5.1); the smaller ones invite forged padding.
pub const MIN_EXPONENT: u32 = 65_537;

/// The larger of two lengths, one of which depends on [`MAX_MODULUS`].
pub(crate) const fn longer(one: usize, other: usize) -> usize {
    if one > other { one } else { other }
}

const MAX_PRIME: usize = MAX_MODULUS / 2;

/// Numbers that an RSA signature can be verified with, whoever's they are and however long it may be trusted:
/// an odd modulus of 1,024 to 4,096 bits, an odd exponent of 2 to 32 bits.
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
pub struct RsaNumbers<'a> {
    modulus: &'a [u8],
    exponent: u32,
}

impl<'a> RsaNumbers<'a> {
    /// From numbers in network order without zeros in front; `None` unless they are what the type
    /// promises.
    pub fn new(modulus: &'a [u8], exponent: &[u8]) -> Option<Self> {
        let is_long_enough = match modulus {
            [0, ..] => false,
            [first, ..] if modulus.len() == 128 => *first >= 0x80,
            _ => (129..=512).contains(&modulus.len()),
        };
        let exponent = number(exponent).filter(|e| *e >= 3 && is_odd(&e.to_be_bytes()))?;
        (is_long_enough && is_odd(modulus)).then_some(Self { modulus, exponent })
    }

    /// n in network order.
    pub const fn modulus(&self) -> &'a [u8] {
        self.modulus
    }

    /// e.
    pub const fn exponent(&self) -> u32 {
        self.exponent
    }
}

impl fmt::Debug for RsaNumbers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaNumbers({} octets)", self.modulus.len())
    }
}

/// A modulus of 2,048 bits or more, a multiple of 8, odd; an odd exponent of 17 to 32 bits.
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
pub struct RsaPublicKey {
    modulus: [u8; MAX_MODULUS],
    length: u16,
    exponent: u32,
}

impl RsaPublicKey {
    /// From numbers in network order without zeros in front; `None` unless they are what the type
    /// promises.
    pub fn new(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let exponent = number(exponent).filter(|e| *e >= MIN_EXPONENT && is_odd(&e.to_be_bytes()))?;
        if modulus.len() < MIN_MODULUS
            || modulus.first().is_none_or(|octet| *octet < 0x80)
            || !is_odd(modulus)
        {
            return None;
        }
        let mut octets = [0; MAX_MODULUS];
        octets.get_mut(..modulus.len())?.copy_from_slice(modulus);
        Some(Self { modulus: octets, length: u16::try_from(modulus.len()).ok()?, exponent })
    }

    /// n in network order.
    pub fn modulus(&self) -> &[u8] {
        self.modulus.get(..usize::from(self.length)).unwrap_or(&self.modulus)
    }

    /// e.
    pub const fn exponent(&self) -> u32 {
        self.exponent
    }

    /// What its signatures are verified with.
    pub fn numbers(&self) -> RsaNumbers<'_> {
        RsaNumbers { modulus: self.modulus(), exponent: self.exponent }
    }
}

impl fmt::Debug for RsaPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaPublicKey({} bits)", 8 * u32::from(self.length))
    }
}

/// What a private key consists of beside its public key (RFC 8017 §3.2, second representation), each in
/// network order.
#[derive(Copy, Clone)]
pub struct CrtNumbers<'a> {
    /// p.
    pub prime1: &'a [u8],
    /// q.
    pub prime2: &'a [u8],
    /// dP = d mod (p - 1).
    pub exponent1: &'a [u8],
    /// dQ = d mod (q - 1).
    pub exponent2: &'a [u8],
    /// qInv = q^-1 mod p.
    pub coefficient: &'a [u8],
}

/// A private key with two primes, each half as long as the modulus. Wipes itself when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct RsaPrivateKey {
    #[zeroize(skip)]
    public: RsaPublicKey,
    /// In the order of [`CrtNumbers`], each as long as a prime.
    numbers: [[u8; MAX_PRIME]; 5],
}

impl RsaPrivateKey {
    /// `None` when a number is longer than half the modulus. Whether they belong together is found out by
    /// [`super::Crypto::signer`].
    pub fn new(public: RsaPublicKey, crt: CrtNumbers<'_>) -> Option<Self> {
        let CrtNumbers { prime1, prime2, exponent1, exponent2, coefficient } = crt;
        let half = public.modulus().len() / 2;
        let mut key = Self { public, numbers: [[0; MAX_PRIME]; 5] };
        let given = [prime1, prime2, exponent1, exponent2, coefficient];
        for (place, number) in key.numbers.iter_mut().zip(given) {
            let zeros = number.iter().take_while(|octet| **octet == 0).count();
            let number = number.get(zeros..)?;
            place.get_mut(half.checked_sub(number.len())?..half)?.copy_from_slice(number);
        }
        Some(key)
    }

    /// The key that verifies what this one signs.
    pub const fn public_key(&self) -> &RsaPublicKey {
        &self.public
    }

    /// The secret numbers, each half as long as the modulus.
    pub fn crt(&self) -> CrtNumbers<'_> {
        let half = self.public.modulus().len() / 2;
        let [prime1, prime2, exponent1, exponent2, coefficient] =
            self.numbers.each_ref().map(|number| number.get(..half).unwrap_or(number));
        CrtNumbers { prime1, prime2, exponent1, exponent2, coefficient }
    }
}

fn is_odd(number: &[u8]) -> bool {
    number.last().is_some_and(|octet| octet & 1 == 1)
}

/// Of at most four octets.
fn number(octets: &[u8]) -> Option<u32> {
    let mut field = [0; 4];
    field.get_mut(4_usize.checked_sub(octets.len())?..)?.copy_from_slice(octets);
    Some(u32::from_be_bytes(field))
}

#[cfg(all(test, feature = "rsa"))]
mod tests {
    use super::*;

    fn modulus<const N: usize>() -> [u8; N] {
        let mut octets = [0xa5; N];
        octets[0] = 0x80;
        octets
    }

    const E: &[u8] = &[1, 0, 1];

    /// RFC 8247 §4.1, FIPS 186-5 §5.1: what is too short, even or without its top bit is no modulus.
    #[test]
    fn a_modulus_is_judged_before_anything_is_computed() {
        assert!(RsaPublicKey::new(&modulus::<256>(), E).is_some());
        let (mut even, mut low) = (modulus::<256>(), modulus::<256>());
        even[255] = 2;
        low[0] = 0x7f;
        for bad in [&[][..], &[0; 256], &even, &low, &modulus::<64>(), &modulus::<255>(), &modulus::<2048>()]
        {
            assert_eq!(RsaPublicKey::new(bad, E), None);
        }
        let is_long = MAX_MODULUS >= 384;
        assert_eq!(RsaPublicKey::new(&modulus::<384>(), E).is_some(), is_long);
    }

    /// FIPS 186-5 §5.1: odd and above 2^16; a small one lets signatures be forged where padding is looked
    /// at carelessly (CVE-2018-16151).
    #[test]
    fn an_exponent_is_odd_and_not_small() {
        let is_key = |exponent: &[u8]| RsaPublicKey::new(&modulus::<256>(), exponent).is_some();
        for bad in [&[][..], &[0], &[1], &[2], &[3], &[17], &[255, 255], &[1, 0, 0], &[1, 0, 0, 0, 1]] {
            assert!(!is_key(bad), "{bad:?}");
        }
        for good in [E, &[1, 0, 3], &[255, 255, 255, 255]] {
            assert!(is_key(good), "{good:?}");
        }
    }

    /// RFC 5702 §2: zones sign with 512 to 4,096 bits; below 1,024 nobody is believed, and exponents may be
    /// small. Zeros in front are prohibited (RFC 3110 §2).
    #[test]
    fn a_zone_may_have_a_shorter_modulus_and_a_smaller_exponent() {
        for good in [&modulus::<128>()[..], &modulus::<160>(), &modulus::<255>(), &modulus::<512>()] {
            assert!(RsaNumbers::new(good, &[3]).is_some(), "{} octets", good.len());
        }
        let (mut short, mut zero, mut even) = (modulus::<128>(), modulus::<256>(), modulus::<256>());
        (short[0], zero[0], even[255]) = (0x7f, 0, 2);
        for bad in [&[][..], &[0], &modulus::<127>(), &short, &zero, &even, &modulus::<513>()] {
            assert_eq!(RsaNumbers::new(bad, E), None, "{} octets", bad.len());
        }
        for bad in [&[][..], &[1], &[2], &[1, 0, 0], &[1, 0, 0, 0, 1]] {
            assert_eq!(RsaNumbers::new(&modulus::<128>(), bad), None, "{bad:?}");
        }
    }

    #[test]
    fn debug_output_is_short() {
        let mut text = heapless::String::<32>::new();
        let key = RsaPublicKey::new(&modulus::<256>(), E);
        fmt::write(&mut text, format_args!("{:?}", key.unwrap())).unwrap();
        assert_eq!(text, "RsaPublicKey(2048 bits)");
    }
}
