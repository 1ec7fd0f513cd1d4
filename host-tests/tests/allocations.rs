//! No octet of heap: a handshake and protected packets, with every call into the global allocator
//! counted on this thread while one of the cores has control.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::IpAddr;

use esp_engine::crypto::software::SoftwareCipher;
use esp_engine::engine::{Engine, Inbound, Outbound, Settings};
use esp_engine::selector::{Ports, Selectors};
use esp_engine::spd::{Policy, PolicyId};
use esp_engine::time::Instant;
use host_tests::pair::{Room, Tested};
use host_tests::parties::{self, A, B, leak};
use ike_core::config::{Config, Suite};
use ike_core::crypto::software::Software;
use ike_core::endpoint::Endpoint;
use ike_core::output::{Event, Output, Path};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{IpProtocol, Ipv4Packet, Ipv4Repr, UdpPacket};

type EngineRoom = esp_engine::resources::Resources<SoftwareCipher, 1, 8, 2>;

/// Octets of the headers.
const IPV4: usize = 20;
const UDP: usize = 8;
const NOW: Instant = Instant::from_millis(1_000);

thread_local! {
    static COUNTING: Cell<bool> = const { Cell::new(false) };
    static CALLS: Cell<u32> = const { Cell::new(0) };
}

/// The system's allocator with a tally.
struct Tally;

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Tally {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTING.get() {
            CALLS.set(CALLS.get() + 1);
        }
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static TALLY: Tally = Tally;

/// What `work` gives, with its allocations added to the tally.
fn counted<T>(work: impl FnOnce() -> T) -> T {
    COUNTING.set(true);
    let done = work();
    COUNTING.set(false);
    done
}

#[test]
fn the_tally_sees_allocations() {
    counted(|| std::hint::black_box(vec![1, 2, 3]));
    assert_eq!(CALLS.get(), 1);
}

#[test]
fn no_allocation_in_handshakes_and_packets() {
    for suite in [Suite::FAST_SOFTWARE, Suite::HARDWARE_AES, Suite::POST_QUANTUM] {
        let with_suite = |mut config: Config<'static>| {
            config.suites = leak([suite]);
            config.timing.datagram = 576;
            config
        };
        let mut a = Side::new(with_suite(parties::a()), 1);
        let mut b = Side::new(with_suite(parties::b()), 2);
        let flow = Selectors {
            source: A,
            destination: B,
            protocol: 17,
            ports: Ports::Known { source: 5000, destination: 5000 },
        };
        counted(|| a.endpoint.acquire(NOW, PolicyId(0), flow)).expect("begins");
        while a.pass_to(&mut b) | b.pass_to(&mut a) {}
        for payload in [64, 1408] {
            a.send_to(&mut b, payload);
            b.send_to(&mut a, payload);
        }
    }
    assert_eq!(CALLS.get(), 0, "calls into the allocator");
}

/// An endpoint with its engine.
struct Side {
    endpoint: Tested,
    engine: Engine<'static, SoftwareCipher>,
    own: IpAddr,
    peer: IpAddr,
}

impl Side {
    fn new(config: Config<'static>, seed: u64) -> Self {
        let own = config.local[0].address;
        let peer = if own == A { B } else { A };
        let mut engine = Engine::new(Settings::default(), Box::leak(Box::new(EngineRoom::new())));
        let policy = &config.policies[0];
        let [local, remote] = [policy.local, policy.remote].map(|ts| ts.iter().copied().collect());
        engine.add_policy(Policy { local, remote, action: policy.action }).expect("the SPD has room");
        let room = Box::leak(Box::new(Room::new()));
        let endpoint = Endpoint::new(leak(config), room, Software, ChaCha20Rng::seed_from_u64(seed));
        Self { endpoint: endpoint.expect("the configuration works"), engine, own, peer }
    }

    /// Hands the next datagram over; `false` when there is none.
    fn pass_to(&mut self, other: &mut Self) -> bool {
        let mut buffer = [0; 1500];
        loop {
            match counted(|| self.endpoint.poll_output()) {
                Output::Event(Event::Install(child)) => {
                    let installed = counted(|| self.engine.install(NOW, child.build().expect("a cipher")));
                    assert_eq!(installed, Ok(()));
                }
                Output::Event(Event::Failed(failed)) => panic!("{:?}", failed.reason),
                Output::Event(_) => {}
                Output::Transmit { path, datagram } => {
                    let datagram = {
                        buffer[..datagram.len()].copy_from_slice(datagram);
                        &mut buffer[..datagram.len()]
                    };
                    let path = Path { local: path.remote, remote: path.local, ..path };
                    let taken = counted(|| other.endpoint.handle_datagram(NOW, path, datagram));
                    assert_eq!(taken, Ok(()));
                    return true;
                }
                Output::Timeout(_) => return false,
            }
        }
    }

    /// Protects a packet with this many octets of payload, which arrives.
    fn send_to(&mut self, other: &mut Self, payload: usize) {
        let packet = udp(self.own, self.peer, payload);
        let mut frame = [0; 1600];
        let sealed = counted(|| match self.engine.outbound(NOW, &packet) {
            Outbound::Seal(seal) => self.engine.seal(seal, &packet, &mut frame),
            other => panic!("{other:?}"),
        });
        let frame = &mut frame[..sealed.expect("the frame has room")];
        let Inbound::Deliver(clear) = counted(|| other.engine.inbound(NOW, frame)) else {
            panic!("it is dropped")
        };
        assert!(frame[clear].ends_with(&packet[IPV4 + UDP..]), "another payload arrived");
    }
}

/// An IPv4 packet with UDP from port 5000 to 5000, without UDP checksum.
fn udp(source: IpAddr, destination: IpAddr, payload: usize) -> Vec<u8> {
    let (IpAddr::V4(src_addr), IpAddr::V4(dst_addr)) = (source, destination) else { panic!("IPv4 only") };
    let header = Ipv4Repr {
        src_addr,
        dst_addr,
        next_header: IpProtocol::Udp,
        payload_len: UDP + payload,
        hop_limit: 64,
    };
    let mut packet = vec![0x5A; IPV4 + UDP + payload];
    header.emit(&mut Ipv4Packet::new_unchecked(&mut packet), &ChecksumCapabilities::default());
    let mut datagram = UdpPacket::new_unchecked(&mut packet[IPV4..]);
    datagram.set_src_port(5000);
    datagram.set_dst_port(5000);
    datagram.set_len(u16::try_from(UDP + payload).expect("a datagram"));
    datagram.set_checksum(0);
    packet
}
