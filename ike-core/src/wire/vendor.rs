//! Vendor ID payload (RFC 7296 §3.12): any octets, never needed to understand a message.

use super::NoSpace;
use super::code_point::PayloadType;
use super::writer::Writer;

/// Appends a Vendor ID payload.
///
/// # Errors
/// [`NoSpace`].
pub fn write(vendor_id: &[u8], writer: &mut Writer<'_>) -> Result<(), NoSpace> {
    writer.payload(PayloadType::VENDOR_ID, |body| body.put(vendor_id))
}
