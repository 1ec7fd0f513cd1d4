//! tshark decrypts what the eavesdropper captured, with the tables beside the capture. Left out, by
//! name, where tshark is not installed; `BUTTONS_REQUIRE_PEERS=1` makes that a failure.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use buttons::bgp::{self, Session, Speaker, message::Prefix};
use buttons::cable::{Cable, End};
use buttons::capture::{self, EspKey, Keys};
use buttons::{demo, executor, time};
use embassy_net::tcp::TcpSocket;
use embassy_net::{ConfigV4, Ipv4Cidr, Runner, Stack, StackResources, StaticConfigV4};
use embassy_time::{Duration, Timer};
use esp_engine::adapter::{Buffers, Port};
use esp_engine::crypto::software::SoftwareCipher;
use esp_engine::crypto::{Algorithm, MAX_KEY, RawKey};
use esp_engine::driver::SecureDriver;
use esp_engine::engine::{Engine, Settings};
use esp_engine::resources::Resources;
use esp_engine::sa::{ChildSa, KeyPair, Lifetime, Mode, PeerKey, Spi};
use esp_engine::selector::{AddressRange, TrafficSelector};
use esp_engine::spd::{Action, Level, Policy, PolicyId};
use esp_engine::time::Instant;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

const A: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const B: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = vec![trial("tshark_decrypts_ike_and_bgp_of_the_demo", decrypts_the_demo)];
    for algorithm in [
        Algorithm::Aes128Gcm16,
        Algorithm::Aes256Gcm16,
        Algorithm::Aes128CbcHmacSha256,
        Algorithm::Aes256CbcHmacSha256,
    ] {
        let name = format!("tshark_decrypts_a_bgp_session_under_{algorithm:?}");
        trials.push(trial(name, move || decrypts(algorithm)));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// A test that is ignored, with the reason, where tshark is not installed.
fn trial(name: impl Into<String>, run: impl FnOnce() -> Result<(), Failed> + Send + 'static) -> Trial {
    Trial::ignorable_test(name, move || {
        let missing = Command::new("tshark").arg("-v").output().is_err();
        match (missing, std::env::var_os("BUTTONS_REQUIRE_PEERS")) {
            (false, _) => run().map(|()| Completion::Completed),
            (true, None) => Ok(Completion::ignored_with("tshark is not installed: apt-get install tshark")),
            (true, Some(_)) => Err("tshark is not installed: apt-get install tshark".into()),
        }
    })
}

/// A pair of SAs with keys by hand, seen from the end with this address.
fn pair(algorithm: Algorithm, local: Ipv4Addr) -> ChildSa<SoftwareCipher> {
    let key = |octet: u8| RawKey::new(algorithm, &[octet; MAX_KEY][..algorithm.key_length()]).unwrap();
    let spi = |octet: u8| Spi::new(0x8000_0000 | u32::from(octet) << 8).unwrap();
    let remote = if local == A { B } else { A };
    let (own, far) = (local.octets()[3], remote.octets()[3]);
    let all = |address| TrafficSelector::all(AddressRange::single(address));
    ChildSa {
        policy: PolicyId(0),
        inbound: spi(own),
        outbound: spi(far),
        mode: Mode::Transport,
        local: local.into(),
        remote: remote.into(),
        encapsulation: None,
        extended_sequence: false,
        local_ts: [all(IpAddr::V4(local))].into_iter().collect(),
        remote_ts: [all(IpAddr::V4(remote))].into_iter().collect(),
        lifetime: Lifetime::default(),
        level: Level::Pinned,
        peer: PeerKey([far; 32]),
        may_send: true,
        keys: KeyPair { inbound: key(own), outbound: key(far) },
    }
    .build()
    .unwrap()
}

fn engine<'r>(
    algorithm: Algorithm,
    local: Ipv4Addr,
    resources: &'r mut Resources<SoftwareCipher, 4, 4, 2>,
) -> RefCell<Engine<'r, SoftwareCipher>> {
    let mut engine = Engine::new(Settings::default(), resources);
    let child = pair(algorithm, local);
    let action = Action::Protect { mode: Mode::Transport, minimum: Level::Pinned };
    let policy = Policy {
        local: child.local_ts.iter().copied().collect(),
        remote: child.remote_ts.iter().copied().collect(),
        action,
    };
    engine.add_policy(policy).unwrap();
    engine.install(Instant::ZERO, child).unwrap();
    RefCell::new(engine)
}

type Secured<'a> = SecureDriver<'a, 'a, End, SoftwareCipher>;

fn stack<'a>(
    driver: Secured<'a>,
    resources: &'a mut StackResources<2>,
    local: Ipv4Addr,
) -> (Stack<'a>, Runner<'a, Secured<'a>>) {
    let mut config = embassy_net::Config::default();
    config.ipv4 = ConfigV4::Static(StaticConfigV4 {
        address: Ipv4Cidr::new(local, 24),
        gateway: None,
        dns_servers: Default::default(),
    });
    embassy_net::new(driver, config, resources, 1)
}

fn speaker(address: Ipv4Addr, autonomous_system: u16) -> Speaker {
    Speaker { autonomous_system, identifier: address, next_hop: address, hold_time: 9 }
}

/// Two stacks with ESP underneath hold a BGP session for 10 s; the capture goes to `folder`.
fn captured(algorithm: Algorithm, folder: &std::path::Path) -> capture::Written {
    time::make_virtual();
    let cable = Cable::new(1);
    let now = || Instant::from_millis(time::now_micros() / 1000);
    let (mut ra, mut rb) = (Resources::new(), Resources::new());
    let (engine_a, engine_b) = (engine(algorithm, A, &mut ra), engine(algorithm, B, &mut rb));
    let (port_a, port_b) = (Port::new(), Port::new());
    let (mut buffers_a, mut buffers_b) = (Buffers::<1514>::new(), Buffers::<1514>::new());
    let (mut sa, mut sb) = (StackResources::new(), StackResources::new());
    let driver_a = SecureDriver::new(cable.plug([2, 0, 0, 0, 0, 1]), &engine_a, &port_a, &mut buffers_a, now);
    let driver_b = SecureDriver::new(cable.plug([2, 0, 0, 0, 0, 2]), &engine_b, &port_b, &mut buffers_b, now);
    let (stack_a, mut runner_a) = stack(driver_a, &mut sa, A);
    let (stack_b, mut runner_b) = stack(driver_b, &mut sb, B);
    let announce = |third| Prefix { address: Ipv4Addr::new(198, 51, third, 0), length: 24 };
    let active = RefCell::new(Session { to_announce: vec![announce(100)], ..Session::default() });
    let passive = RefCell::new(Session::default());

    let tasks: Vec<executor::Task> = vec![
        Box::pin(async { runner_a.run().await }),
        Box::pin(async { runner_b.run().await }),
        Box::pin(async {
            let (mut rx, mut tx) = ([0; 4096], [0; 4096]);
            let mut socket = TcpSocket::new(stack_a, &mut rx, &mut tx);
            socket.connect((B, bgp::PORT)).await.unwrap();
            speaker(A, 64501).converse(&mut socket, &active).await;
        }),
        Box::pin(async {
            let (mut rx, mut tx) = ([0; 4096], [0; 4096]);
            let mut socket = TcpSocket::new(stack_b, &mut rx, &mut tx);
            socket.accept(bgp::PORT).await.unwrap();
            speaker(B, 64502).converse(&mut socket, &passive).await;
        }),
    ];
    executor::run(Timer::after(Duration::from_secs(10)), tasks).unwrap();
    assert!(passive.borrow().established && passive.borrow().learned == [announce(100)]);

    let frames = cable.seen();
    let is_clear = |octets: &[u8]| octets.windows(16).any(|w| w == bgp::message::MARKER);
    assert!(!frames.iter().any(|frame| is_clear(&frame.octets)));
    let keys = [(A, B), (B, A)].map(|(source, destination)| EspKey {
        source: source.into(),
        destination: destination.into(),
        spi: 0x8000_0000 | u32::from(destination.octets()[3]) << 8,
        key: RawKey::derive(algorithm, |key| key.fill(destination.octets()[3])),
    });
    capture::write(folder, &frames, &Keys { ike: Vec::new(), esp: keys.into() }).unwrap()
}

/// The demo's own line shows BGP, and with the same tables the identities in IKE_AUTH can be read.
fn decrypts_the_demo() -> Result<(), Failed> {
    let folder = std::env::temp_dir().join(format!("buttons-tshark-demo-{}", std::process::id()));
    let options = demo::Options { capture: folder.clone(), ..demo::Options::default() };
    let outcome = demo::run(&options, Box::new(std::io::sink()))?;
    let bgp = outcome.written.tshark("bgp");
    let ike = bgp.replace("-Y bgp", "-Y isakmp.exchangetype==35 -V");
    let messages = ["OPEN Message", "KEEPALIVE Message", "UPDATE Message"];
    shows(&bgp, &messages)?;
    shows(&ike, &["ID_FQDN: a.example", "ID_FQDN: b.example", "Digital Signature (14)"])?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn shows(command: &str, words: &[&str]) -> Result<(), Failed> {
    let run = Command::new("sh").arg("-c").arg(command).output()?;
    let shown = String::from_utf8_lossy(&run.stdout).into_owned();
    match words.iter().find(|word| !shown.contains(**word)) {
        Some(word) => Err(format!("no {word} in:\n{shown}\n{}", String::from_utf8_lossy(&run.stderr)).into()),
        None => Ok(()),
    }
}

fn decrypts(algorithm: Algorithm) -> Result<(), Failed> {
    let folder = std::env::temp_dir().join(format!("buttons-{algorithm:?}-{}", std::process::id()));
    let written = captured(algorithm, &folder);
    shows(&written.tshark("bgp"), &["OPEN Message", "KEEPALIVE Message", "UPDATE Message"])?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
