//! The parsers of `ike_core::wire`: no octets make one panic, and what they hand out lies in the message.

use esp_engine::crypto::software::SoftwareCipher;
use esp_engine::crypto::{Algorithm, Cipher, RawKey};
use ike_core::wire::auth::AuthView;
use ike_core::wire::cert::{CertRequestView, CertView};
use ike_core::wire::chain::{Chain, Critical};
use ike_core::wire::code_point::PayloadType;
use ike_core::wire::delete::DeleteView;
use ike_core::wire::encrypted::{Encrypted, without_padding};
use ike_core::wire::header::{Header, Message};
use ike_core::wire::id::IdView;
use ike_core::wire::ke::KeView;
use ike_core::wire::nonce::NonceView;
use ike_core::wire::notify::NotifyView;
use ike_core::wire::payloads::Payloads;
use ike_core::wire::sa::SaView;
use ike_core::wire::spki;
use ike_core::wire::ts::TsView;

/// Ciphers of the SK payload.
pub fn algorithms() -> impl Iterator<Item = Algorithm> {
    Algorithm::ALL.into_iter().filter(|algorithm| algorithm.is_confidential())
}

/// Reads the octets as a message, as what is inside of an SK payload, and as the body of each payload.
pub fn run(octets: &[u8]) {
    as_message(octets);
    as_body(octets);
    if let Some((first, text)) = octets.split_first() {
        as_text(PayloadType(*first), text);
    }
}

/// Takes every way through the parsers that these octets open as a message.
pub fn as_message(octets: &[u8]) {
    let _ = Header::parse(octets);
    if let Ok(message) = Message::parse(octets) {
        if let Ok(payloads) = message.payloads() {
            assert!(lies_inside(&payloads, octets));
        }
        if let Ok(Some(encrypted)) = Encrypted::find(&message) {
            for algorithm in algorithms() {
                let mut copy = octets.to_vec();
                let _ = encrypted.parts(&mut copy, algorithm);
                let _ = encrypted.open(&mut copy, &cipher(algorithm));
            }
        }
    }
    let _ = without_padding(octets);
    let _ = spki::parse(octets);
    let _ = spki::from_certificate(octets);
}

/// Reads the octets as the text of an SK payload whose first payload has this type.
pub fn as_text(first: PayloadType, octets: &[u8]) {
    for critical in [Critical::Ignore, Critical::Refuse] {
        let inside = Chain::inside(first, octets, critical);
        assert!(inside.clone().count() <= 33, "a chain is bounded");
        if let Ok(payloads) = Payloads::parse(inside) {
            assert!(lies_inside(&payloads, octets));
        }
    }
}

/// Reads the octets as the body of a payload of each type.
pub fn as_body(octets: &[u8]) {
    if let Ok(sa) = SaView::parse(octets) {
        let _ = sa.proposals().map(|proposal| proposal.transforms().count()).sum::<usize>();
    }
    let _ = KeView::parse(octets);
    let _ = NonceView::parse(octets);
    let _ = IdView::parse(PayloadType::IDI, octets).map(|id| id.address());
    let _ = AuthView::parse(octets);
    let _ = CertView::parse(octets);
    let _ = CertRequestView::parse(octets);
    let _ = DeleteView::parse(octets).map(|delete| delete.spis().count());
    let _ = TsView::parse(PayloadType::TSI, octets).map(|ts| ts.selectors().count());
    if let Ok(notify) = NotifyView::parse(octets) {
        let _ = (notify.rekey_sa(), notify.cookie(), notify.wanted_key_exchange());
        let _ = (notify.nat_detection(), notify.window_size());
    }
}

/// A cipher with some key.
pub fn cipher(algorithm: Algorithm) -> SoftwareCipher {
    let key = RawKey::new(algorithm, &vec![1; algorithm.key_length()]).expect("as long as it has to be");
    SoftwareCipher::new(&key).expect("known")
}

/// Walks over everything that can be reached from these payloads and says whether it all lies in `octets`.
fn lies_inside(payloads: &Payloads<'_>, octets: &[u8]) -> bool {
    let inside = |part: &[u8]| {
        octets.as_ptr_range().start <= part.as_ptr() && part.as_ptr_range().end <= octets.as_ptr_range().end
    };
    let mut parts: Vec<&[u8]> = Vec::new();
    parts.extend(payloads.sa.iter().flat_map(|sa| sa.proposals()).map(|proposal| proposal.spi));
    parts.extend(payloads.ke.iter().map(|ke| ke.data));
    parts.extend(payloads.nonce.iter().map(|nonce| nonce.data()));
    parts.extend(payloads.idi.iter().chain(&payloads.idr).map(|id| id.data));
    parts.extend(payloads.auth.iter().map(|auth| auth.data));
    parts.extend(payloads.cp.iter().chain(&payloads.eap));
    parts.extend(payloads.notifies().flat_map(|notify| [notify.spi, notify.data]));
    parts.extend(payloads.certs().map(|cert| cert.data));
    parts.extend(payloads.cert_requests().map(|request| request.authority));
    parts.extend(payloads.vendor_ids());
    parts.into_iter().all(|part| part.is_empty() || inside(part))
}
