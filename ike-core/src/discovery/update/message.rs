//! An UPDATE as it leaves (RFC 2136 §2): zone, one prerequisite, and for each RRset of ours its deletion and
//! what replaces it.
//!
//! ```text
//! zone           the zone, SOA
//! prerequisite   our name has no CNAME: beside an alias a server would drop the rest in silence (§3.4.2.2)
//! update         delete A, AAAA, IPSECKEY; add each of ours
//!                fingerprints instead of keys: delete TLSA of `_500._udp` below it too, and add those
//! additional     TSIG
//! ```
//! A server carries out all of it or nothing (§3.4), so the name is never without its records. What is built
//! here cannot leave: only signing makes it octets.

use core::net::IpAddr;

use domain::base::iana::{Class, Opcode};
use domain::base::message_builder::{AdditionalBuilder, AuthorityBuilder, PushError};
use domain::base::record::ComposeRecord;
use domain::base::{MessageBuilder, Record, Rtype, Ttl, UnknownRecordData};

use crate::crypto::{Crypto, PublicKey};
use crate::discovery::ipseckey::{self, Gateway};
use crate::discovery::{Name, tlsa};
use crate::wire::spki;

/// Octets of the longest update: two keys of 4,096 bits, four addresses, and names of usual length.
pub const MAX_UPDATE: usize = 2_048;
/// Addresses of a name.
pub const MAX_ADDRESSES: usize = 4;
/// Keys of a name: the present one and the next.
pub const MAX_KEYS: usize = 2;

/// Octets of an update.
pub(super) type Octets = heapless::Vec<u8, MAX_UPDATE>;

/// What a key stands in DNS as.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub enum Form {
    /// Itself, in an IPSECKEY record.
    #[default]
    Key,
    /// Its fingerprint ([`tlsa`]). Such records are touched by this form only: a secret that may change our name need not
    /// be allowed theirs.
    Fingerprint,
}

/// What our name shall have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// All addresses of the name; `None` leaves those alone that it has.
    pub addresses: Option<heapless::Vec<IpAddr, MAX_ADDRESSES>>,
    /// All keys of the name; without any the name loses those that it has.
    pub keys: heapless::Vec<PublicKey, MAX_KEYS>,
    /// As what they stand there; never as both.
    pub form: Form,
    /// Through whom it is reached; fingerprints do not say it.
    pub gateway: Gateway,
    /// Of several IPSECKEY records, those with a lower number are tried first.
    pub precedence: u8,
    /// Seconds for which others may remember all this.
    pub ttl: u32,
}

/// An update that cannot leave yet.
pub(super) struct Unsigned {
    id: u16,
    builder: AdditionalBuilder<Octets>,
}

impl Unsigned {
    /// Gives `name` in `zone` what it shall have.
    pub(super) fn new<C: Crypto>(
        zone: &Name,
        name: &Name,
        id: u16,
        wanted: &Wanted,
        crypto: &C,
    ) -> Result<Self, PushError> {
        let of_fingerprints = match wanted.form {
            Form::Key => None,
            Form::Fingerprint => Some(tlsa::owner(name).ok_or(PushError::ShortBuf)?),
        };
        let builder = MessageBuilder::from_target(Octets::new());
        let mut builder = builder.map_err(|_| PushError::ShortBuf)?;
        builder.header_mut().set_id(id);
        builder.header_mut().set_opcode(Opcode::UPDATE);
        let mut builder = builder.question();
        builder.push((zone, Rtype::SOA, Class::IN))?;
        let mut builder = builder.answer();
        for owner in [Some(name), of_fingerprints.as_ref()].into_iter().flatten() {
            builder.push(record(owner, Class::NONE, 0, Rtype::CNAME, &[])?)?;
        }
        let mut update = Update { name, ttl: wanted.ttl, builder: builder.authority() };
        if let Some(addresses) = &wanted.addresses {
            update.delete(Rtype::A)?;
            update.delete(Rtype::AAAA)?;
            for address in addresses {
                match address {
                    IpAddr::V4(address) => update.add(Rtype::A, &address.octets())?,
                    IpAddr::V6(address) => update.add(Rtype::AAAA, &address.octets())?,
                }
            }
        }
        update.delete(Rtype::IPSECKEY)?;
        match &of_fingerprints {
            None => {
                for key in &wanted.keys {
                    update
                        .add(Rtype::IPSECKEY, &ipseckey::encode(wanted.precedence, &wanted.gateway, key))?;
                }
            }
            Some(owner) => {
                update.name = owner;
                update.delete(Rtype::TLSA)?;
                for key in &wanted.keys {
                    update.add(Rtype::TLSA, &tlsa::encode(&crypto.sha256(&[&spki::encode(key)])))?;
                }
            }
        }
        Ok(Self { id, builder: update.builder.additional() })
    }

    pub(super) const fn id(&self) -> u16 {
        self.id
    }

    /// What is signed.
    pub(super) fn octets(&self) -> &[u8] {
        self.builder.as_slice()
    }

    /// The message with its signature.
    pub(super) fn finish(mut self, tsig: impl ComposeRecord) -> Result<Octets, PushError> {
        self.builder.push(tsig)?;
        Ok(self.builder.finish())
    }
}

/// The update section.
struct Update<'u> {
    name: &'u Name,
    ttl: u32,
    builder: AuthorityBuilder<Octets>,
}

impl Update<'_> {
    /// Deletes an RRset (RFC 2136 §2.5.2).
    fn delete(&mut self, rtype: Rtype) -> Result<(), PushError> {
        self.builder.push(record(self.name, Class::ANY, 0, rtype, &[])?)
    }

    /// Adds to an RRset (RFC 2136 §2.5.1).
    fn add(&mut self, rtype: Rtype, rdata: &[u8]) -> Result<(), PushError> {
        self.builder.push(record(self.name, Class::IN, self.ttl, rtype, rdata)?)
    }
}

type Generic<'r> = Record<&'r Name, UnknownRecordData<&'r [u8]>>;

fn record<'r>(
    owner: &'r Name,
    class: Class,
    ttl: u32,
    rtype: Rtype,
    rdata: &'r [u8],
) -> Result<Generic<'r>, PushError> {
    let data = UnknownRecordData::from_octets(rtype, rdata).map_err(|_| PushError::ShortBuf)?;
    Ok(Record::new(owner, class, Ttl::from_secs(ttl), data))
}
