//! An AF_PACKET socket on an Ethernet interface that the kernel has no address on.
//!
//! Each frame comes with a virtio-net header in which the kernel says what an offload has left
//! undone: an unfinished checksum is finished here, a joined frame shows by its length.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::interface::{self, Interface, Unusable};
use super::{Port, Wire, checksum};

/// Octets of a virtio-net header without merged buffers.
const VIRTIO_HEADER: usize = 10;
/// Flag: a checksum is left to do.
const NEEDS_CHECKSUM: u8 = 1;
/// Frames are joined up to this.
const MAX_JOINED: usize = 65_550;

/// The socket.
pub struct PacketSocket {
    fd: OwnedFd,
    buffer: Box<[u8]>,
}

/// Opens `name` as a port.
///
/// # Errors
/// [`Unusable`], with what to do.
pub fn open(name: &str) -> Result<Port<PacketSocket>, Unusable> {
    let interface = interface::look_up(name)?;
    let wire = PacketSocket::open(&interface, Hears::OthersOnly)
        .map_err(|error| Unusable::from_error(name, error))?;
    Ok(Port::new(wire, interface.address, interface.mtu))
}

/// Whose frames a socket gets.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Hears {
    OthersOnly,
    Everyone,
}

impl PacketSocket {
    /// Opens `name` to hear what passes there in both directions, whoever it belongs to.
    ///
    /// # Errors
    /// As the system says.
    pub fn eavesdrop(name: &str) -> io::Result<Self> {
        Self::open(&interface::describe(name)?.0, Hears::Everyone)
    }

    fn open(interface: &Interface, hears: Hears) -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: a new descriptor is owned by nobody else; errors are negative and caught. Protocol 0
        // receives nothing before the socket is bound to one interface.
        let fd = unsafe {
            let fd = libc::socket(libc::AF_PACKET, kind, 0);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        let only_others = libc::c_int::from(hears == Hears::OthersOnly);
        for (option, on) in [(libc::PACKET_VNET_HDR, 1), (libc::PACKET_IGNORE_OUTGOING, only_others)] {
            // SAFETY: the pointer and the length describe one live integer.
            let done = unsafe {
                let length = size_of_val(&on) as libc::socklen_t;
                libc::setsockopt(fd.as_raw_fd(), libc::SOL_PACKET, option, (&raw const on).cast(), length)
            };
            if done < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        // SAFETY: sockaddr_ll is plain old data, for which all zero is a value.
        let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        to.sll_family = libc::AF_PACKET as u16;
        to.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        to.sll_ifindex = interface.index;
        // SAFETY: the pointer and the length describe one live sockaddr_ll.
        let done = unsafe {
            libc::bind(fd.as_raw_fd(), (&raw const to).cast(), size_of_val(&to) as libc::socklen_t)
        };
        if done < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { fd, buffer: vec![0; VIRTIO_HEADER + MAX_JOINED].into() })
    }
}

impl Wire for PacketSocket {
    fn receive(&mut self, frame: &mut [u8]) -> io::Result<usize> {
        // SAFETY: the pointer and the length describe one live buffer.
        let got =
            unsafe { libc::recv(self.fd.as_raw_fd(), self.buffer.as_mut_ptr().cast(), self.buffer.len(), 0) };
        let length = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
        take_frame(self.buffer.get_mut(..length).unwrap_or_default(), frame)
    }

    fn send(&self, frame: &[u8]) -> io::Result<()> {
        // A header of zeros: nothing is left to do.
        let header = [0_u8; VIRTIO_HEADER];
        let parts = [
            libc::iovec { iov_base: header.as_ptr().cast_mut().cast(), iov_len: header.len() },
            libc::iovec { iov_base: frame.as_ptr().cast_mut().cast(), iov_len: frame.len() },
        ];
        // SAFETY: both parts describe live slices, which writev only reads.
        let sent = unsafe { libc::writev(self.fd.as_raw_fd(), parts.as_ptr(), 2) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Copies what lies behind the virtio-net header to `frame`, its checksum finished, and returns its
/// true length, which may exceed `frame`.
fn take_frame(received: &mut [u8], frame: &mut [u8]) -> io::Result<usize> {
    let (header, octets) = received.split_at_mut_checked(VIRTIO_HEADER).ok_or(io::ErrorKind::InvalidData)?;
    // The header's numbers are in the host's order.
    let [flags, _gso, _, _, _, _, start0, start1, offset0, offset1] = *header else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    if flags & NEEDS_CHECKSUM != 0 {
        let start = usize::from(u16::from_ne_bytes([start0, start1]));
        let offset = usize::from(u16::from_ne_bytes([offset0, offset1]));
        if !checksum::finish(octets, start, offset) {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    frame.iter_mut().zip(octets.iter()).for_each(|(to, from)| *to = *from);
    Ok(octets.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_checksum_is_finished_where_the_header_says() {
        let mut received = vec![NEEDS_CHECKSUM, 0, 0, 0, 0, 0];
        received.extend(14_u16.to_ne_bytes());
        received.extend(2_u16.to_ne_bytes());
        received.extend([0; 14]);
        received.extend([0x12, 0x34, 0, 0]);
        let mut frame = [0; 64];
        assert_eq!(take_frame(&mut received, &mut frame).unwrap(), 18);
        assert_eq!(frame[14..18], [0x12, 0x34, 0xed, 0xcb]);
    }

    #[test]
    fn a_joined_frame_shows_its_true_length() {
        let mut received = vec![0; VIRTIO_HEADER + 9000];
        assert_eq!(take_frame(&mut received, &mut [0; 1515]).unwrap(), 9000);
    }

    #[test]
    fn a_header_that_points_outside_is_passed_over() {
        let mut received = vec![NEEDS_CHECKSUM, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 2, 3];
        let refused = take_frame(&mut received, &mut [0; 64]).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    }
}
