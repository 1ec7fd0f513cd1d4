//! Traffic Selector payloads (RFC 7296 §3.13), to and from [`TrafficSelector`].
//!
//! Selectors of unknown types are passed over; malformed ones make the payload unusable.

use core::net::IpAddr;

use esp_engine::selector::{AddressRange, PortRange, TrafficSelector};

use super::code_point::PayloadType;
use super::reader::Reader;
use super::writer::{Octets, Writer};
use super::{Malformed, NoSpace};

const IPV4_ADDR_RANGE: u8 = 7;
const IPV6_ADDR_RANGE: u8 = 8;

/// Octets of type, protocol and length, which every selector has.
const SELECTOR_HEADER: usize = 4;

/// A list of traffic selectors.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct TsView<'a> {
    selectors: &'a [u8],
}

impl<'a> TsView<'a> {
    /// Reads the body of a TSi or TSr payload, whose type is `payload`.
    ///
    /// # Errors
    /// [`Malformed::PayloadTruncated`], [`Malformed::SelectorCount`], [`Malformed::SelectorLength`],
    /// [`Malformed::SelectorRange`].
    pub fn parse(payload: PayloadType, body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(body);
        let (count, _reserved) =
            reader.u8().zip(reader.octets(3)).ok_or(Malformed::PayloadTruncated(payload))?;
        let view = Self { selectors: reader.0 };
        let mut left = count;
        while let Some(selector) = next_selector(&mut reader) {
            selector?;
            left = left.checked_sub(1).ok_or(Malformed::SelectorCount)?;
        }
        if count == 0 || left != 0 { Err(Malformed::SelectorCount) } else { Ok(view) }
    }

    /// The selectors of known types, in their order. There may be none.
    pub fn selectors(&self) -> impl Iterator<Item = TrafficSelector> + Clone + use<'a> {
        let mut reader = Reader(self.selectors);
        core::iter::from_fn(move || next_selector(&mut reader)).filter_map(|selector| selector.ok().flatten())
    }
}

/// `None` at the end, `Some(Ok(None))` for an unknown type.
fn next_selector(reader: &mut Reader<'_>) -> Option<Result<Option<TrafficSelector>, Malformed>> {
    if reader.is_empty() {
        return None;
    }
    let selector = read_selector(reader);
    if selector.is_err() {
        *reader = Reader(&[]);
    }
    Some(selector)
}

fn read_selector(reader: &mut Reader<'_>) -> Result<Option<TrafficSelector>, Malformed> {
    let (kind, protocol, mut body) = split_selector(reader).ok_or(Malformed::SelectorLength)?;
    let fields = match kind {
        IPV4_ADDR_RANGE => read_ranges::<4>(&mut body),
        IPV6_ADDR_RANGE => read_ranges::<16>(&mut body),
        _ => return Ok(None),
    };
    let (ports, addresses) = fields.filter(|_| body.is_empty()).ok_or(Malformed::SelectorLength)?;
    let ports = PortRange::new(ports.0, ports.1).ok_or(Malformed::SelectorRange)?;
    let addresses = AddressRange::new(addresses.0, addresses.1).ok_or(Malformed::SelectorRange)?;
    Ok(Some(TrafficSelector { protocol, ports, addresses }))
}

fn split_selector<'a>(reader: &mut Reader<'a>) -> Option<(u8, u8, Reader<'a>)> {
    let (kind, protocol) = (reader.u8()?, reader.u8()?);
    let length = usize::from(reader.u16()?);
    let body = reader.octets(length.checked_sub(SELECTOR_HEADER)?)?;
    Some((kind, protocol, Reader(body)))
}

type Ranges = ((u16, u16), (IpAddr, IpAddr));

fn read_ranges<const N: usize>(body: &mut Reader<'_>) -> Option<Ranges>
where
    IpAddr: From<[u8; N]>,
{
    let ports = (body.u16()?, body.u16()?);
    Some((ports, (IpAddr::from(*body.array()?), IpAddr::from(*body.array()?))))
}

/// Appends a payload of type `payload`, TSi or TSr, with up to 255 selectors.
///
/// # Errors
/// [`NoSpace`].
pub fn write(
    payload: PayloadType,
    selectors: &[TrafficSelector],
    writer: &mut Writer<'_>,
) -> Result<(), NoSpace> {
    let count = u8::try_from(selectors.len()).map_err(|_| NoSpace)?;
    writer.payload(payload, |body| {
        body.put(&[count, 0, 0, 0])?;
        selectors.iter().try_for_each(|selector| write_selector(selector, body))
    })
}

fn write_selector(selector: &TrafficSelector, body: &mut Octets<'_>) -> Result<(), NoSpace> {
    let (kind, length) = match selector.addresses.first() {
        IpAddr::V4(_) => (IPV4_ADDR_RANGE, 16),
        IpAddr::V6(_) => (IPV6_ADDR_RANGE, 40),
    };
    body.put(&[kind, selector.protocol, 0, length])?;
    body.put(&selector.ports.first().to_be_bytes())?;
    body.put(&selector.ports.last().to_be_bytes())?;
    write_address(selector.addresses.first(), body)?;
    write_address(selector.addresses.last(), body)
}

fn write_address(address: IpAddr, body: &mut Octets<'_>) -> Result<(), NoSpace> {
    match address {
        IpAddr::V4(address) => body.put(&address.octets()),
        IpAddr::V6(address) => body.put(&address.octets()),
    }
}
