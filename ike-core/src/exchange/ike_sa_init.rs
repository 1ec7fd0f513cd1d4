//! IKE_SA_INIT (RFC 7296 §1.2): algorithms, key exchange and nonces, in clear.
//!
//! ```text
//! I ─▶ R   HDR(A,0) [N(COOKIE)] SA KE Nonce N(NAT_S) N(NAT_D) N(FRAGMENTATION) N(SIGNATURE_HASHES)
//!          [N(INTERMEDIATE)] [N(USE_PPK)]
//! R ─▶ I   HDR(A,B) SA KE Nonce N(NAT_S) N(NAT_D) CERTREQ [N(FRAGMENTATION)] N(SIGNATURE_HASHES)
//!          [N(INTERMEDIATE)] N(CHILDLESS) [N(USE_PPK)]
//! ```

use crate::auth::{HashAlgorithms, SignatureHashes};
use crate::config::{Suite, Timing};
use crate::crypto::{Crypto, Group, SharedSecret};
use crate::ike_sa::fragmentation::Fragmentation;
use crate::ike_sa::keys::{self, IkeKeys, IkeSpis, Nonces};
use crate::wire::NoSpace;
use crate::wire::code_point::CertEncoding;
use crate::wire::ke::KeView;
use crate::wire::nonce::NonceView;
use crate::wire::notify::{NotifyType, NotifyView};
use crate::wire::payloads::Payloads;
use crate::wire::transform::KeyExchangeMethod;
use crate::wire::writer::Writer;

pub(crate) mod initiator;
pub(crate) mod responder;

/// KE and nonce, in the same order in both directions.
fn write_exchange(group: Group, public: &[u8], nonce: &[u8], writer: &mut Writer<'_>) -> Result<(), NoSpace> {
    KeView { method: KeyExchangeMethod(group.id()), data: public }.write(writer)?;
    NonceView::parse(nonce).map_err(|_| NoSpace)?.write(writer)
}

fn write_hashes(writer: &mut Writer<'_>) -> Result<(), NoSpace> {
    NotifyView::put(NotifyType::SIGNATURE_HASH_ALGORITHMS, &HashAlgorithms::ALL.octets(), writer)
}

fn hashes(payloads: &Payloads<'_>) -> SignatureHashes {
    let peer =
        payloads.notify(NotifyType::SIGNATURE_HASH_ALGORITHMS).and_then(|n| HashAlgorithms::parse(n.data));
    SignatureHashes { ours: HashAlgorithms::ALL, peer }
}

/// Says that we can put fragments together (RFC 7383 §2.3).
fn write_fragmentation(timing: &Timing, writer: &mut Writer<'_>) -> Result<(), NoSpace> {
    if timing.datagram == 0 {
        return Ok(());
    }
    NotifyView::put(NotifyType::IKEV2_FRAGMENTATION_SUPPORTED, &[], writer)
}

/// Fragments are for those who both say that they can.
fn fragmentation(timing: &Timing, payloads: &Payloads<'_>) -> Fragmentation {
    match payloads.notify(NotifyType::IKEV2_FRAGMENTATION_SUPPORTED) {
        Some(_) if timing.datagram > 0 => Fragmentation::Into(timing.datagram),
        _ => Fragmentation::Off,
    }
}

/// Says that an additional key exchange may take place (RFC 9242 §3.1).
fn write_intermediate(is_wanted: bool, writer: &mut Writer<'_>) -> Result<(), NoSpace> {
    if !is_wanted {
        return Ok(());
    }
    NotifyView::put(NotifyType::INTERMEDIATE_EXCHANGE_SUPPORTED, &[], writer)
}

/// Whether the peer says so too.
fn speaks_intermediate(payloads: &Payloads<'_>) -> bool {
    payloads.notify(NotifyType::INTERMEDIATE_EXCHANGE_SUPPORTED).is_some()
}

/// In which form the peer asks for a raw key, if it does: by preference as SubjectPublicKeyInfo
/// (RFC 7670 §3), else as the RSA key that RFC 5386 speaks of.
pub(super) fn wanted_key(payloads: &Payloads<'_>) -> Option<CertEncoding> {
    let is_asked = |encoding: &CertEncoding| payloads.cert_requests().any(|r| r.encoding == *encoding);
    [CertEncoding::RAW_PUBLIC_KEY, CertEncoding::RAW_RSA_KEY].into_iter().find(is_asked)
}

fn derive<C: Crypto>(
    crypto: &C,
    suite: &Suite,
    secret: &SharedSecret,
    nonces: Nonces<'_>,
    spis: IkeSpis,
) -> IkeKeys {
    IkeKeys::initial(crypto, keys::Suite { prf: suite.prf, cipher: suite.ike }, secret, nonces, spis)
}
