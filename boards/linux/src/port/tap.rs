//! A TAP device: the kernel stands at its far end as one more host on the link, with addresses of
//! its own if somebody gives it some.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use super::interface::{self, Unusable};
use super::{Port, Wire};

/// The near end.
pub struct Tap(File);

/// Makes the TAP device `name`, or opens it if it exists and nobody else has it.
///
/// # Errors
/// [`Unusable`], with what to do.
pub fn open(name: &str) -> Result<Port<Tap>, Unusable> {
    let tap = Tap::open(name).map_err(|error| Unusable::from_error(name, error))?;
    let mut address = [0; 6];
    getrandom::fill(&mut address).map_err(|error| Unusable::System(name.into(), error.into()))?;
    // Locally administered, not multicast.
    address[0] = address[0] & 0xfc | 2;
    Ok(Port::new(tap, address, 1500))
}

impl Tap {
    fn open(name: &str) -> io::Result<Self> {
        let flags = libc::O_NONBLOCK | libc::O_CLOEXEC;
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open("/dev/net/tun")?;
        let mut request = interface::request(name)?;
        request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as libc::c_short;
        // SAFETY: TUNSETIFF reads and writes one ifreq, which outlives the call.
        let done = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(Self(file)) }
    }
}

impl Wire for Tap {
    fn receive(&mut self, frame: &mut [u8]) -> io::Result<usize> {
        // Without offloads asked for, the kernel hands over finished frames of at most the MTU.
        self.0.read(frame)
    }

    fn send(&self, frame: &[u8]) -> io::Result<()> {
        (&self.0).write(frame).map(drop)
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
