//! An eavesdropper on an interface: reads every frame in both directions, says what kind it is, and
//! looks for the marker that only the plain text carries.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use buttons::peer::Namespace;
use memchr::memmem::Finder;

/// Only plain text carries this.
pub type Marker = [u8; 16];
/// What this program's own traffic carries.
pub const MARKER: &Marker = b"BUTTONS-IN-CLEAR";
/// What every BGP message begins with (RFC 4271 §4.1).
pub const BGP: &Marker = &[0xFF; 16];

/// Octets of frames that wait for the eavesdropper; more than a whole transfer.
const ROOM: libc::c_int = 512 << 20;

/// What was heard.
#[derive(Clone, Default, Debug)]
pub struct Heard {
    /// Frames with the marker.
    pub marked: u64,
    /// Frames that carry ESP, in UDP or not.
    pub esp: u64,
    /// Frames that carry IKE.
    pub ike: u64,
    /// Of these, encrypted fragments (RFC 7383 §2.5): of requests, of responses.
    pub fragments: [u64; 2],
    /// Other frames that have to do with neither address resolution nor multicast membership, by kind.
    pub stray: BTreeMap<String, u64>,
    /// Frames that were not heard.
    pub missed: u32,
}

/// A running eavesdropper.
pub struct Sniffer {
    thread: Option<JoinHandle<io::Result<io::Result<Heard>>>>,
    stop: Arc<AtomicBool>,
}

impl Drop for Sniffer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

impl Sniffer {
    /// Listens for `marker` on `device` in `namespace` from now on.
    pub fn start(namespace: &Namespace, device: &str, marker: &'static Marker) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (told, device) = (stop.clone(), CString::new(device)?);
        let (ready, wait) = std::sync::mpsc::channel();
        let thread = namespace.thread(move || {
            let socket = open(&device)?;
            let _ = ready.send(());
            listen(&socket, &told, marker)
        })?;
        let _ = wait.recv();
        Ok(Self { thread: Some(thread), stop })
    }

    /// Reads what is still waiting and stops.
    pub fn finish(mut self) -> io::Result<Heard> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().map(JoinHandle::join);
        thread.and_then(Result::ok).ok_or(io::Error::other("the eavesdropper panicked"))??
    }
}

fn open(device: &CString) -> io::Result<OwnedFd> {
    let every = (libc::ETH_P_ALL as u16).to_be();
    // SAFETY: a new descriptor is owned by nobody else; errors are negative and caught.
    let socket = unsafe {
        let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd)
    };
    option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, ROOM)?;
    let wait = libc::timeval { tv_sec: 0, tv_usec: 50_000 };
    option(&socket, libc::SOL_SOCKET, libc::SO_RCVTIMEO, wait)?;
    // SAFETY: sockaddr_ll is plain old data, for which all zero is a value.
    let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    to.sll_family = libc::AF_PACKET as u16;
    to.sll_protocol = every;
    // SAFETY: the name ends with a zero.
    to.sll_ifindex = unsafe { libc::if_nametoindex(device.as_ptr()) } as i32;
    // SAFETY: the pointer and the length describe `to`.
    let done = unsafe {
        libc::bind(socket.as_raw_fd(), (&raw const to).cast(), size_of_val(&to) as libc::socklen_t)
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(socket) }
}

fn option<T>(socket: &OwnedFd, level: i32, name: i32, value: T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the pointer and the length describe `value`, which is plain old data.
    let done =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), length) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn listen(socket: &OwnedFd, stop: &AtomicBool, marker: &Marker) -> io::Result<Heard> {
    let finder = Finder::new(marker);
    let mut heard = Heard::default();
    let mut frame = vec![0; 1 << 17];
    loop {
        let stopping = stop.load(Ordering::Relaxed);
        // SAFETY: the pointer and the length describe `frame`.
        let got = unsafe { libc::recv(socket.as_raw_fd(), frame.as_mut_ptr().cast(), frame.len(), 0) };
        match usize::try_from(got) {
            Ok(length) => heard.frame(&frame[..length], &finder),
            Err(_) if stopping => break,
            Err(_) => {
                let error = io::Error::last_os_error();
                if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) {
                    return Err(error);
                }
            }
        }
    }
    heard.missed = missed(socket)?;
    Ok(heard)
}

fn missed(socket: &OwnedFd) -> io::Result<u32> {
    // SAFETY: tpacket_stats is plain old data, for which all zero is a value.
    let mut statistics: libc::tpacket_stats = unsafe { std::mem::zeroed() };
    let mut length = size_of_val(&statistics) as libc::socklen_t;
    // SAFETY: pointer and length describe `statistics`.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut statistics).cast(),
            &raw mut length,
        )
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(statistics.tp_drops) }
}

/// What a frame is.
#[derive(PartialEq, Eq, Debug)]
enum Kind {
    /// If it is a fragment: whether it is one of a response.
    Ike(Option<bool>),
    Esp,
    Neighbours,
    Stray(String),
}

impl Heard {
    fn frame(&mut self, frame: &[u8], finder: &Finder<'_>) {
        if finder.find(frame).is_some() {
            self.marked += 1;
        }
        match kind(frame) {
            Kind::Ike(fragment) => {
                self.ike += 1;
                if let Some(is_response) = fragment {
                    self.fragments[usize::from(is_response)] += 1;
                }
            }
            Kind::Esp => self.esp += 1,
            Kind::Neighbours => {}
            Kind::Stray(what) => *self.stray.entry(what).or_default() += 1,
        }
    }
}

fn kind(frame: &[u8]) -> Kind {
    let stray = |what: &str| Kind::Stray(what.to_owned());
    match frame.get(12..14) {
        Some([0x08, 0x06]) => Kind::Neighbours,
        Some([0x08, 0x00]) => {
            let Some((first, &[_, _, _, _, _, _, _, _, protocol])) =
                frame.get(14).zip(frame.get(15..24).and_then(|f| f.first_chunk::<9>()))
            else {
                return stray("short IPv4");
            };
            let payload = frame.get(14 + usize::from(first & 15) * 4..).unwrap_or_default();
            transport(4, protocol, payload)
        }
        Some([0x86, 0xDD]) => {
            let (next, payload) = (frame.get(20).copied().unwrap_or(59), frame.get(54..).unwrap_or_default());
            match (next, payload) {
                // Multicast Listener Discovery is the one sender of hop-by-hop options here.
                (0, [58, 0, ..]) => Kind::Neighbours,
                (58, [130..=137 | 143, ..]) => Kind::Neighbours,
                _ => transport(6, next, payload),
            }
        }
        _ => stray("neither IP nor ARP"),
    }
}

fn transport(version: u8, protocol: u8, payload: &[u8]) -> Kind {
    let port = |at: usize| payload.get(at..at + 2).map(|p| u16::from_be_bytes([p[0], p[1]]));
    match (protocol, port(0), port(2)) {
        (50, ..) => Kind::Esp,
        // Multicast membership of the kernel's own (IGMP).
        (2, ..) => Kind::Neighbours,
        // A NAT gives its end another port.
        (17, Some(500), _) | (17, _, Some(500)) => Kind::Ike(fragment(payload.get(8..).unwrap_or_default())),
        // RFC 3948 §2.2: four octets of zero stand where ESP has its SPI; §2.3: one octet keeps alive.
        (17, Some(4500), _) | (17, _, Some(4500)) => match payload.get(8..) {
            Some([0, 0, 0, 0, message @ ..]) => Kind::Ike(fragment(message)),
            Some([0xFF]) => Kind::Ike(None),
            _ => Kind::Esp,
        },
        (1, ..) if tells_that_nobody_serves_ike(payload) => Kind::Ike(None),
        (17 | 6, Some(from), Some(to)) => {
            Kind::Stray(format!("IPv{version} protocol {protocol} ports {from} {to}"))
        }
        _ => Kind::Stray(format!("IPv{version} protocol {protocol} type {:?}", payload.first())),
    }
}

/// Whether the response flag is set, if the message begins with an encrypted fragment (RFC 7296 §3.1).
fn fragment(message: &[u8]) -> Option<bool> {
    const ENCRYPTED_FRAGMENT: u8 = 53;
    const RESPONSE: u8 = 0x20;
    (*message.get(16)? == ENCRYPTED_FRAGMENT).then_some(message.get(19)? & RESPONSE != 0)
}

/// ICMP port unreachable (RFC 792) about UDP of IKE or ESP: to a machine whose daemon is dead, or to a NAT that has
/// forgotten who is behind it.
fn tells_that_nobody_serves_ike(message: &[u8]) -> bool {
    let Some(([3, 3], quoted)) =
        message.split_first_chunk().map(|(kind, rest)| (*kind, rest.get(6..).unwrap_or_default()))
    else {
        return false;
    };
    let is_ours = |port: Option<&[u8]>| {
        port.is_some_and(|port| [500_u16, 4500].map(u16::to_be_bytes).iter().any(|it| it == port))
    };
    quoted.get(9) == Some(&17) && (is_ours(quoted.get(20..22)) || is_ours(quoted.get(22..24)))
}
