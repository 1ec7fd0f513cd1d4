//! Fragments of messages (RFC 7383). What is longer than the path is taken to carry is cut behind its
//! encryption: each fragment is a message of its own in an SKF payload, with its own IV. It is put together
//! again when all of them proved genuine; before that nothing is allocated and nothing is changed.

use esp_engine::crypto::{Cipher, RawKey};
use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::{Received, keys, open, take};
use crate::crypto::Crypto;
use crate::endpoint::Endpoint;
use crate::error::Discarded;
use crate::handshake::Handshake;
use crate::ike_sa::IkeSa;
use crate::ike_sa::fragmentation::Fragmentation;
use crate::ike_sa::window::Fingerprint;
use crate::output::Path;
use crate::resources::{BufferId, Of, Piece};
use crate::wire::Malformed;
use crate::wire::chain::Chain;
use crate::wire::code_point::ExchangeType;
use crate::wire::encrypted::{self, Clear, Encrypted, EncryptedWriter, Fragment};
use crate::wire::header::{Header, Message};
use crate::wire::payloads::Payloads;

/// Seals the draft into one datagram, or into as few as `fragmentation` allows but not fewer than `least`.
pub(super) fn seal_draft<C: Crypto, R>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &mut IkeSa,
    key: &RawKey,
    header: &Header,
    fragmentation: Fragmentation,
    least: usize,
) -> Option<BufferId> {
    let cipher = C::Cipher::new(key).ok()?;
    let length = endpoint.draft.text()?.1.len();
    let capacity = encrypted::capacity(fragmentation.room(sa.path.remote), key.algorithm()).max(1);
    let needed = if fragmentation == Fragmentation::Off { 1 } else { length.div_ceil(capacity) };
    let chunk = length.div_ceil(needed.max(least).max(1)).max(1);
    let total = length.div_ceil(chunk).max(1);
    let first = endpoint.buffers.allocate()?;
    for number in 0..total {
        let buffer = if number == 0 { Some(first) } else { endpoint.buffers.extend(first) };
        let sealed = buffer.and_then(|buffer| {
            let fragment = fragment(number, total)?;
            let (kind, text) = endpoint.draft.text()?;
            let text = text.chunks(chunk).nth(number).unwrap_or_default();
            let room = endpoint.buffers.room(buffer)?;
            let mut writer = EncryptedWriter::begin(room, header, key.algorithm(), fragment).ok()?;
            writer.put(kind, text).ok()?;
            let length = writer.seal(&cipher, sa.sealed).ok()?.len();
            endpoint.buffers.set_length(buffer, length);
            Some(())
        });
        sa.sealed += 1;
        if sealed.is_none() {
            endpoint.buffers.release(first);
            return None;
        }
    }
    Some(first)
}

/// `Some(None)` for the only datagram of a message, which is no fragment.
fn fragment(number: usize, total: usize) -> Option<Option<Fragment>> {
    if total == 1 {
        return Some(None);
    }
    let number = u16::try_from(number).ok()?.checked_add(1)?;
    Fragment::new(number, u16::try_from(total).ok()?).map(Some)
}

/// Cuts a message of ours that went unanswered into more and smaller fragments, in the old one's place
/// (RFC 7383 §2.5.2); `None` when they are as small as they get, or there is no room.
pub(crate) fn narrow<C: Crypto, R>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &mut IkeSa,
    message: BufferId,
) -> Option<BufferId> {
    let fragmentation = sa.fragmentation.narrowed();
    let count = endpoint.buffers.count(message);
    let room = fragmentation.room(sa.path.remote);
    if endpoint.buffers.longest(message) <= room {
        return None;
    }
    let header = Header::parse(endpoint.buffers.message(message)?).ok()?;
    // The keys of IKE_INTERMEDIATE are those from before it.
    let agreed = endpoint.handshake_of(sa).and_then(Handshake::agreed);
    let key = match agreed.and_then(|agreed| agreed.intermediate.as_ref()) {
        Some(before) if header.exchange == ExchangeType::IKE_INTERMEDIATE => before.sealed_with.clone(),
        _ => keys(endpoint, sa)?.outbound,
    };
    let cipher = C::Cipher::new(&key).ok()?;
    for number in 0..count {
        let datagram = endpoint.buffers.fragment(message, u8::try_from(number).ok()?)?;
        endpoint.draft.reopen(number == 0, datagram, &cipher)?;
    }
    let narrowed = seal_draft(endpoint, sa, &key, &header, fragmentation, count + 1)?;
    endpoint.buffers.release(message);
    Some(narrowed)
}

/// Whether this is the first fragment of a message, the only one that is answered when it comes again
/// (RFC 7383 §2.6.1).
pub(crate) fn is_first(octets: &[u8]) -> bool {
    let encrypted = Message::parse(octets).and_then(|message| Encrypted::find(&message));
    matches!(encrypted, Ok(Some(Encrypted { fragment: Some(fragment), .. })) if fragment.number() == 1)
}

/// A fragment whose Message ID is in the window.
#[expect(clippy::too_many_arguments, reason = "all of them are what a fragment is judged by")]
#[inline(never)]
pub(super) fn gather<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    now: Instant,
    path: Path,
    octets: &mut [u8],
    (encrypted, fragment): (Encrypted, Fragment),
    cipher: &C::Cipher,
) -> Result<(), Discarded> {
    if sa.fragmentation == Fragmentation::Off {
        return Err(Discarded::FragmentNotNegotiated);
    }
    let header = Header::parse(octets)?;
    let of = Of { spi: sa.own_spi(), is_response: header.flags.response, message_id: header.message_id };
    endpoint.reassemblies.check(of, fragment, now)?;
    let fingerprint = Fingerprint::of(octets);
    let start = *octets.first_chunk().ok_or(Malformed::HeaderTruncated)?;
    let first = (encrypted.first, encrypted.reserved);
    let text = open(sa, now, &encrypted, octets, cipher)??;
    let piece = Piece { fragment, first, fingerprint, text };
    // While the whole message is dealt with, its text stays where it was put together.
    let mut reassemblies = core::mem::take(&mut endpoint.reassemblies);
    let result = match reassemblies.add(of, sa.established().is_some(), now, &piece) {
        Ok(None) => Ok(()),
        Ok(Some(whole)) => {
            let narrowed = sa.fragmentation.narrowed();
            if fragment.total() > 1 && whole.longest <= narrowed.room(path.remote) {
                sa.fragmentation = narrowed;
            }
            let payloads = Payloads::parse(Chain::inside(whole.first.0, whole.text, header.critical()));
            let clear = Clear::new(&start, whole.first, whole.text);
            let received = Received { path, header, fingerprint: whole.fingerprint, clear, payloads };
            take(endpoint, slot, sa, now, received)
        }
        Err(reason) => Err(reason),
    };
    endpoint.reassemblies = reassemblies;
    result
}
