//! What the kernel knows about an interface.

use std::ffi::{CStr, CString};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// An interface as the kernel describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interface {
    /// Its number.
    pub index: i32,
    /// Its hardware address.
    pub address: [u8; 6],
    /// Octets of the longest IP packet.
    pub mtu: usize,
}

/// Why an interface cannot be used.
#[derive(Debug)]
pub enum Unusable {
    /// There is none of this name.
    NotFound(String),
    /// The kernel has an address there and would answer what is ours to answer.
    KernelAddress {
        /// The interface.
        name: String,
        /// The kernel's address.
        address: IpAddr,
    },
    /// It is down.
    Down(String),
    /// Root, or CAP_NET_RAW and CAP_NET_ADMIN, are missing.
    NotAllowed(String),
    /// Another refusal of the system's.
    System(String, io::Error),
}

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotFound(name) => {
                write!(f, "there is no interface {name}: `ip link` lists those of this machine")
            }
            Self::KernelAddress { name, address } => write!(
                f,
                "the kernel has the address {address} on {name} and would answer in our place, in clear: \
                 ip addr del it (for IPv6: sysctl net.ipv6.conf.{name}.disable_ipv6=1)"
            ),
            Self::Down(name) => write!(f, "{name} is down: ip link set {name} up"),
            Self::NotAllowed(name) => {
                write!(f, "not allowed to open {name}: run as root, or with CAP_NET_RAW and CAP_NET_ADMIN")
            }
            Self::System(name, error) => write!(f, "{name}: {error}"),
        }
    }
}

impl std::error::Error for Unusable {}

impl Unusable {
    /// The system's error for interface `name`.
    pub fn from_error(name: &str, error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::NotAllowed(name.into()),
            Some(libc::ENODEV | libc::ENXIO) => Self::NotFound(name.into()),
            _ => Self::System(name.into(), error),
        }
    }
}

/// Looks an interface up and refuses one that cannot be a port: down, or with a kernel address.
///
/// # Errors
/// [`Unusable`].
pub fn look_up(name: &str) -> Result<Interface, Unusable> {
    let interface = describe(name).map_err(|error| Unusable::from_error(name, error))?;
    let (interface, is_up) = interface;
    if !is_up {
        return Err(Unusable::Down(name.into()));
    }
    match kernel_address(name).map_err(|error| Unusable::from_error(name, error))? {
        Some(address) => Err(Unusable::KernelAddress { name: name.into(), address }),
        None => Ok(interface),
    }
}

/// What the kernel says about `name`, and whether it is up.
///
/// # Errors
/// As the system says.
pub fn describe(name: &str) -> io::Result<(Interface, bool)> {
    // SAFETY: a new descriptor is owned by nobody else; errors are negative and caught.
    let socket = unsafe {
        let fd = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd)
    };
    let mut address = [0; 6];
    let hardware = ask(&socket, name, libc::SIOCGIFHWADDR)?;
    // SAFETY: SIOCGIFHWADDR has filled this member of the union.
    let octets = unsafe { hardware.ifr_ifru.ifru_hwaddr }.sa_data;
    address.iter_mut().zip(octets).for_each(|(to, from)| *to = from.cast_unsigned());
    // SAFETY: SIOCGIFMTU has filled this member of the union.
    let mtu = unsafe { ask(&socket, name, libc::SIOCGIFMTU)?.ifr_ifru.ifru_mtu };
    // SAFETY: SIOCGIFINDEX has filled this member of the union.
    let index = unsafe { ask(&socket, name, libc::SIOCGIFINDEX)?.ifr_ifru.ifru_ifindex };
    // SAFETY: SIOCGIFFLAGS has filled this member of the union.
    let flags = unsafe { ask(&socket, name, libc::SIOCGIFFLAGS)?.ifr_ifru.ifru_flags };
    let is_up = i32::from(flags) & libc::IFF_UP != 0;
    Ok((Interface { index, address, mtu: usize::try_from(mtu).unwrap_or(0) }, is_up))
}

fn ask(socket: &OwnedFd, name: &str, question: libc::Ioctl) -> io::Result<libc::ifreq> {
    let mut request = request(name)?;
    // SAFETY: these questions read and write one ifreq, which outlives the call.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), question, &raw mut request) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(request) }
}

/// A question about the interface `name`.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] for a name that no interface can have.
pub fn request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: ifreq is plain old data, for which all zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.is_empty() || name.len() >= request.ifr_name.len() || name.contains('\0') {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    request.ifr_name.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from.cast_signed());
    Ok(request)
}

/// An address that the kernel has on the interface.
fn kernel_address(name: &str) -> io::Result<Option<IpAddr>> {
    let name = CString::new(name)?;
    let mut list = std::ptr::null_mut();
    // SAFETY: getifaddrs stores a list in `list`, freed below and nowhere else.
    if unsafe { libc::getifaddrs(&raw mut list) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut found = None;
    let mut next: *const libc::ifaddrs = list;
    // SAFETY: every element of the list is valid until freeifaddrs.
    while let Some(entry) = unsafe { next.as_ref() } {
        // SAFETY: names in the list are C strings that live as long as it.
        if unsafe { CStr::from_ptr(entry.ifa_name) } == name.as_c_str() {
            found = found.or(address_of(entry.ifa_addr));
        }
        next = entry.ifa_next;
    }
    // SAFETY: `list` came from getifaddrs and no reference into it is left.
    unsafe { libc::freeifaddrs(list) };
    Ok(found)
}

fn address_of(socket_address: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: getifaddrs yields null or a valid address of the family that it names.
    match i32::from(unsafe { socket_address.as_ref() }?.sa_family) {
        libc::AF_INET => {
            // SAFETY: the family says that this is a sockaddr_in; it may be unaligned, so it is copied.
            let v4 = unsafe { socket_address.cast::<libc::sockaddr_in>().read_unaligned() };
            Some(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: the family says that this is a sockaddr_in6; it may be unaligned, so it is copied.
            let v6 = unsafe { socket_address.cast::<libc::sockaddr_in6>().read_unaligned() };
            Some(Ipv6Addr::from(v6.sin6_addr.s6_addr).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_with_a_kernel_address_is_refused_with_the_reason() {
        let refused = look_up("lo").unwrap_err();
        assert!(matches!(&refused, Unusable::KernelAddress { name, .. } if name == "lo"), "{refused}");
        assert!(refused.to_string().contains("would answer in our place"));
    }

    #[test]
    fn a_name_that_no_interface_has_is_told() {
        let refused = look_up("nosuch0").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "there is no interface nosuch0: `ip link` lists those of this machine"
        );
        assert!(matches!(look_up("a-name-that-is-much-too-long"), Err(Unusable::System(..))));
    }
}
