//! All payloads of one chain, each checked: what an exchange works with.
//!
//! A message carries one SA, KE, nonce, AUTH, CP and EAP, and one of each identity and list of
//! traffic selectors; a second is refused, never the last one taken. The others repeat freely and
//! are iterated over.

use super::Malformed;
use super::auth::AuthView;
use super::cert::{CertRequestView, CertView};
use super::chain::{Chain, RawPayload};
use super::code_point::PayloadType;
use super::delete::DeleteView;
use super::id::IdView;
use super::ke::KeView;
use super::nonce::NonceView;
use super::notify::{NotifyType, NotifyView};
use super::sa::SaView;
use super::ts::TsView;

/// The payloads of a message, or of the encrypted payload in it.
#[derive(Clone, Debug)]
pub struct Payloads<'a> {
    /// Security Association.
    pub sa: Option<SaView<'a>>,
    /// Key Exchange.
    pub ke: Option<KeView<'a>>,
    /// Nonce.
    pub nonce: Option<NonceView<'a>>,
    /// Identity of the initiator.
    pub idi: Option<IdView<'a>>,
    /// Identity of the responder.
    pub idr: Option<IdView<'a>>,
    /// Authentication.
    pub auth: Option<AuthView<'a>>,
    /// Traffic selectors of the initiator.
    pub tsi: Option<TsView<'a>>,
    /// Traffic selectors of the responder.
    pub tsr: Option<TsView<'a>>,
    /// Configuration (RFC 7296 §3.15), not looked at.
    pub cp: Option<&'a [u8]>,
    /// Extensible authentication (RFC 7296 §3.16), not looked at.
    pub eap: Option<&'a [u8]>,
    chain: Chain<'a>,
}

impl<'a> Payloads<'a> {
    /// Reads and checks every payload.
    ///
    /// # Errors
    /// [`Malformed::Duplicate`], or whatever is wrong with the chain or a payload.
    pub fn parse(chain: Chain<'a>) -> Result<Self, Malformed> {
        let mut payloads = Self {
            sa: None,
            ke: None,
            nonce: None,
            idi: None,
            idr: None,
            auth: None,
            tsi: None,
            tsr: None,
            cp: None,
            eap: None,
            chain: chain.clone(),
        };
        for payload in chain {
            payloads.add(payload?)?;
        }
        Ok(payloads)
    }

    fn add(&mut self, RawPayload { kind, body, .. }: RawPayload<'a>) -> Result<(), Malformed> {
        match kind {
            PayloadType::SA => once(kind, &mut self.sa, SaView::parse(body)?),
            PayloadType::KE => once(kind, &mut self.ke, KeView::parse(body)?),
            PayloadType::NONCE => once(kind, &mut self.nonce, NonceView::parse(body)?),
            PayloadType::IDI => once(kind, &mut self.idi, IdView::parse(kind, body)?),
            PayloadType::IDR => once(kind, &mut self.idr, IdView::parse(kind, body)?),
            PayloadType::AUTH => once(kind, &mut self.auth, AuthView::parse(body)?),
            PayloadType::TSI => once(kind, &mut self.tsi, TsView::parse(kind, body)?),
            PayloadType::TSR => once(kind, &mut self.tsr, TsView::parse(kind, body)?),
            PayloadType::CP => once(kind, &mut self.cp, body),
            PayloadType::EAP => once(kind, &mut self.eap, body),
            PayloadType::CERT => CertView::parse(body).map(drop),
            PayloadType::CERTREQ => CertRequestView::parse(body).map(drop),
            PayloadType::NOTIFY => NotifyView::parse(body).map(drop),
            PayloadType::DELETE => DeleteView::parse(body).map(drop),
            _ => Ok(()),
        }
    }

    /// Every notification, in order.
    pub fn notifies(&self) -> impl Iterator<Item = NotifyView<'a>> + use<'a> {
        self.each(PayloadType::NOTIFY).filter_map(|body| NotifyView::parse(body).ok())
    }

    /// The first notification of this type.
    pub fn notify(&self, kind: NotifyType) -> Option<NotifyView<'a>> {
        self.notifies().find(|notify| notify.kind == kind)
    }

    /// The first notification of an error.
    pub fn error(&self) -> Option<NotifyView<'a>> {
        self.notifies().find(|notify| notify.kind.is_error())
    }

    /// Every certificate or key, in order: the first is the one that AUTH is made with (RFC 7296 §3.6).
    pub fn certs(&self) -> impl Iterator<Item = CertView<'a>> + use<'a> {
        self.each(PayloadType::CERT).filter_map(|body| CertView::parse(body).ok())
    }

    /// Every request for a certificate or key, in order.
    pub fn cert_requests(&self) -> impl Iterator<Item = CertRequestView<'a>> + use<'a> {
        self.each(PayloadType::CERTREQ).filter_map(|body| CertRequestView::parse(body).ok())
    }

    /// Every Delete, in order.
    pub fn deletes(&self) -> impl Iterator<Item = DeleteView<'a>> + use<'a> {
        self.each(PayloadType::DELETE).filter_map(|body| DeleteView::parse(body).ok())
    }

    /// Every Vendor ID, in order.
    pub fn vendor_ids(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.each(PayloadType::VENDOR_ID)
    }

    /// Bodies of the payloads of one type.
    fn each(&self, kind: PayloadType) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let chain = self.chain.clone();
        chain.filter_map(Result::ok).filter(move |payload| payload.kind == kind).map(|payload| payload.body)
    }
}

fn once<T>(kind: PayloadType, slot: &mut Option<T>, value: T) -> Result<(), Malformed> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Malformed::Duplicate(kind)),
    }
}
