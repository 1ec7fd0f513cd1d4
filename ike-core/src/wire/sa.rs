//! Security Association payload (RFC 7296 §3.3): proposals, each a set of transforms to choose from.
//!
//! The structure is checked whole when the payload is read: lengths, counts, Last Substruc, SPI
//! sizes and the number of proposals. What is merely not understood stays readable and is marked
//! unusable: a transform for its attributes, a proposal for a transform's type (§3.3.6).

use super::code_point::{PayloadType, Protocol};
use super::reader::Reader;
use super::transform::{self, Transform, TransformView};
use super::writer::{Octets, Writer};
use super::{Malformed, NoSpace};

/// More proposals than this are refused.
pub const MAX_PROPOSALS: usize = 32;
/// More transforms than this in one proposal are refused.
pub const MAX_TRANSFORMS: usize = 64;

const LAST: u8 = 0;
const MORE: u8 = 2;

/// Proposals in order of preference.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct SaView<'a> {
    proposals: &'a [u8],
}

/// One proposal.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct ProposalView<'a> {
    /// What an answer refers to it by.
    pub number: u8,
    /// What the SA is for.
    pub protocol: Protocol,
    /// The sender's SPI: 4 octets for ESP and AH, 8 or none for IKE.
    pub spi: &'a [u8],
    transforms: &'a [u8],
}

impl<'a> SaView<'a> {
    /// Reads the body of an SA payload.
    ///
    /// # Errors
    /// [`Malformed::PayloadTruncated`] without a proposal, and whatever is wrong with one.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(body);
        let mut previous = None;
        let mut count = 0_usize;
        while let Some(proposal) = next_proposal(&mut reader) {
            let number = proposal?.number;
            if previous.is_some_and(|previous| number <= previous) {
                return Err(Malformed::ProposalNumber);
            }
            previous = Some(number);
            count = count.saturating_add(1);
            if count > MAX_PROPOSALS {
                return Err(Malformed::TooManyProposals);
            }
        }
        if count == 0 {
            return Err(Malformed::PayloadTruncated(PayloadType::SA));
        }
        Ok(Self { proposals: body })
    }

    /// The proposals in their order.
    pub fn proposals(&self) -> impl Iterator<Item = ProposalView<'a>> + Clone + use<'a> {
        let mut reader = Reader(self.proposals);
        core::iter::from_fn(move || next_proposal(&mut reader)?.ok())
    }
}

impl<'a> ProposalView<'a> {
    /// The transforms in their order, usable or not.
    pub fn transforms(&self) -> impl Iterator<Item = TransformView> + Clone + use<'a> {
        let mut reader = Reader(self.transforms);
        core::iter::from_fn(move || transform::next(&mut reader)?.ok())
    }

    /// Whether every type of transform in it is understood (RFC 7296 §3.3.6).
    pub fn is_understood(&self) -> bool {
        self.transforms().all(|transform| transform.kind.is_understood())
    }

    /// The SPI of a Child SA, where it has four octets.
    pub fn child_spi(&self) -> Option<u32> {
        self.spi.try_into().ok().map(u32::from_be_bytes)
    }
}

fn next_proposal<'a>(reader: &mut Reader<'a>) -> Option<Result<ProposalView<'a>, Malformed>> {
    if reader.is_empty() {
        return None;
    }
    let proposal = read_proposal(reader);
    if proposal.is_err() {
        *reader = Reader(&[]);
    }
    Some(proposal)
}

fn read_proposal<'a>(reader: &mut Reader<'a>) -> Result<ProposalView<'a>, Malformed> {
    let (last, mut body) = split_proposal(reader).ok_or(Malformed::SubstructureLength)?;
    if last != if reader.is_empty() { LAST } else { MORE } {
        return Err(Malformed::LastSubstructure);
    }
    let fields = body.u8().zip(body.u8()).zip(body.u8().zip(body.u8()));
    let ((number, protocol), (spi_size, announced)) = fields.ok_or(Malformed::SubstructureLength)?;
    let protocol = Protocol(protocol);
    let fits = match protocol {
        Protocol::IKE => matches!(spi_size, 0 | 8),
        Protocol::AH | Protocol::ESP => spi_size == 4,
        _ => true,
    };
    let spi = body.octets(usize::from(spi_size)).filter(|_| fits).ok_or(Malformed::SpiSize)?;
    check_transforms(body, usize::from(announced))?;
    Ok(ProposalView { number, protocol, spi, transforms: body.0 })
}

/// Last Substruc, and what follows the length.
fn split_proposal<'a>(reader: &mut Reader<'a>) -> Option<(u8, Reader<'a>)> {
    let (last, _reserved) = (reader.u8()?, reader.u8()?);
    let length = usize::from(reader.u16()?);
    Some((last, Reader(reader.octets(length.checked_sub(4)?)?)))
}

fn check_transforms(mut reader: Reader<'_>, announced: usize) -> Result<(), Malformed> {
    let mut count = 0_usize;
    while let Some(transform) = transform::next(&mut reader) {
        transform?;
        count = count.saturating_add(1);
        if count > MAX_TRANSFORMS {
            return Err(Malformed::TooManyTransforms);
        }
    }
    if count == announced { Ok(()) } else { Err(Malformed::TransformCount) }
}

/// A proposal to be written. `T` yields its transforms.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Proposal<'a, T> {
    /// 1, 2, 3… in an offer, the accepted one's in an answer.
    pub number: u8,
    /// What the SA is for.
    pub protocol: Protocol,
    /// Our SPI: 4 octets for ESP, 8 or none for IKE.
    pub spi: &'a [u8],
    /// The transforms, up to 255.
    pub transforms: T,
}

/// Appends an SA payload with these proposals.
///
/// # Errors
/// [`NoSpace`].
pub fn write<'a, T: AsRef<[Transform]>>(
    proposals: impl IntoIterator<Item = Proposal<'a, T>>,
    writer: &mut Writer<'_>,
) -> Result<(), NoSpace> {
    writer.payload(PayloadType::SA, |body| {
        let mut previous = None;
        for proposal in proposals {
            if let Some(at) = previous.replace(body.length()) {
                body.patch(at, &[MORE])?;
            }
            let Proposal { number, protocol, spi, ref transforms } = proposal;
            write_proposal(Proposal { number, protocol, spi, transforms: transforms.as_ref() }, body)?;
        }
        Ok(())
    })
}

fn write_proposal(proposal: Proposal<'_, &[Transform]>, body: &mut Octets<'_>) -> Result<(), NoSpace> {
    let start = body.length();
    let spi_size = u8::try_from(proposal.spi.len()).map_err(|_| NoSpace)?;
    body.put(&[LAST, 0, 0, 0, proposal.number, proposal.protocol.0, spi_size, 0])?;
    body.put(proposal.spi)?;
    let mut count = 0_u8;
    let mut previous = None;
    for transform in proposal.transforms {
        if let Some(at) = previous.replace(body.length()) {
            Transform::continued(at, body)?;
        }
        transform.write(body)?;
        count = count.checked_add(1).ok_or(NoSpace)?;
    }
    body.patch(start.saturating_add(7), &[count])?;
    body.patch_length(start, start.saturating_add(2))
}
