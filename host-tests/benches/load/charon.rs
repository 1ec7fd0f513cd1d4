//! strongSwan's round: two charons, the load comes over their control sockets (VICI).

use std::fs;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use buttons::key::{self, Kind, Spelling};
use buttons::peer::{self, Cable, Namespace, wait_until};

use crate::{AT_ONCE, ENDS, Fault, ROUND, Round};

/// How long a round may take.
const LIMIT: Duration = Duration::from_secs(60);

pub fn round(cable: &Cable) -> Result<Round, Fault> {
    let folder = Folder::new()?;
    let keys = [key::generate(Kind::Ed25519)?, key::generate(Kind::Ed25519)?];
    let start = |end: usize, namespace| {
        let folder = folder.0.join(["a", "b"][end]);
        for kind in ["private", "pubkey"] {
            fs::create_dir_all(folder.join(kind))?;
        }
        fs::write(folder.join("private/own.pem"), &*key::private_pem(&keys[end]).ok_or("no private key")?)?;
        for (name, key) in [("own", &keys[end]), ("peer", &keys[1 - end])] {
            let public = key::public(key).and_then(|key| key::spell(&key, Spelling::Strongswan).ok());
            fs::write(folder.join(format!("pubkey/{name}.pem")), public.ok_or("no public key")?)?;
        }
        Charon::start(namespace, folder, end)
    };
    let (mut a, b) = (start(0, &cable.device)?, start(1, &cable.far)?);
    let before = [a.spent()?, b.spent()?];
    let began = Instant::now();
    let (mut begun, mut done) = (0, 0);
    while done < ROUND {
        if began.elapsed() > LIMIT {
            return Err(format!("strongSwan made {done} of {ROUND} IKE SAs in time").into());
        }
        while begun < ROUND && begun - done < AT_ONCE {
            a.vici.call("initiate", &[("ike", "peer"), ("timeout", "-1")])?;
            begun += 1;
        }
        let [all, half_open] = a.ike_sas()?;
        done = all - half_open;
        std::thread::sleep(Duration::from_millis(1));
    }
    let time = began.elapsed();
    let spent = [a.spent()? - before[0], b.spent()? - before[1]];
    Ok(Round { time, spent })
}

/// A folder that goes when this goes.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, Fault> {
        let path = std::env::temp_dir().join(format!("buttons-load-{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running charon.
struct Charon {
    process: Child,
    vici: Vici,
}

impl Charon {
    fn start(namespace: &Namespace, folder: PathBuf, end: usize) -> Result<Self, Fault> {
        fs::write(folder.join("strongswan.conf"), daemon_configuration(&folder))?;
        fs::write(folder.join("swanctl.conf"), connection_configuration(end))?;
        let process = namespace
            .command("/usr/sbin/charon-systemd")
            .env("STRONGSWAN_CONF", folder.join("strongswan.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let socket = folder.join("charon.vici");
        let mut stream = None;
        wait_until(Duration::from_secs(10), || {
            stream = UnixStream::connect(&socket).ok();
            stream.is_some()
        });
        let charon = Self { process, vici: Vici(stream.ok_or("charon does not start")?) };
        peer::output(
            Command::new("swanctl")
                .args(["--load-all", "--noprompt", "--uri"])
                .arg(format!("unix://{}", socket.display()))
                .env("SWANCTL_DIR", &folder)
                .env("STRONGSWAN_CONF", folder.join("strongswan.conf")),
        )?;
        Ok(charon)
    }

    /// The processor's time so far (`proc(5)`: fields 14 and 15 of `stat`, in hundredths of a second).
    fn spent(&self) -> Result<Duration, Fault> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let fields = stat.rsplit_once(')').ok_or("no stat")?.1.split_whitespace().skip(11).take(2);
        let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(Duration::from_millis(ticks * 10))
    }

    /// IKE SAs in all, and half-open ones.
    fn ike_sas(&mut self) -> Result<[usize; 2], Fault> {
        let stats = self.vici.call("stats", &[])?;
        let within = find(&stats, b"ikesas").ok_or("no IKE SAs in stats")?;
        Ok([value(within, "total")?, value(within, "half-open")?])
    }
}

impl Drop for Charon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The control socket: packets behind their length, of key-value pairs.
struct Vici(UnixStream);

impl Vici {
    fn call(&mut self, command: &str, values: &[(&str, &str)]) -> Result<Vec<u8>, Fault> {
        let mut packet = vec![0, u8::try_from(command.len())?];
        packet.extend(command.as_bytes());
        for (key, value) in values {
            packet.extend([3, u8::try_from(key.len())?]);
            packet.extend(key.as_bytes());
            packet.extend(u16::try_from(value.len())?.to_be_bytes());
            packet.extend(value.as_bytes());
        }
        self.0.write_all(&u32::try_from(packet.len())?.to_be_bytes())?;
        self.0.write_all(&packet)?;
        let mut length = [0; 4];
        self.0.read_exact(&mut length)?;
        let mut answer = vec![0; usize::try_from(u32::from_be_bytes(length))?];
        self.0.read_exact(&mut answer)?;
        Ok(answer)
    }
}

/// What is behind this word.
fn find<'m>(message: &'m [u8], word: &[u8]) -> Option<&'m [u8]> {
    let at = message.windows(word.len()).position(|octets| octets == word)?;
    message.get(at + word.len()..)
}

/// The number that belongs to a key.
fn value(message: &[u8], key: &str) -> Result<usize, Fault> {
    let pair = [&[3, u8::try_from(key.len())?], key.as_bytes()].concat();
    let rest = find(message, &pair).ok_or("no such key")?;
    let (length, rest) = rest.split_first_chunk().ok_or("no value")?;
    let digits = rest.get(..usize::from(u16::from_be_bytes(*length))).ok_or("no value")?;
    Ok(std::str::from_utf8(digits)?.parse()?)
}

fn daemon_configuration(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "charon-systemd {{
  load = random nonce openssl curve25519 hmac kdf gcm aes sha1 sha2 pem pkcs1 pkcs8 pubkey constraints kernel-libipsec kernel-netlink socket-default vici
  reuse_ikesa = no
  dos_protection = no
  ikesa_table_size = 1024
  ikesa_table_segments = 16
  plugins {{
    vici {{
      socket = unix://{folder}/charon.vici
    }}
  }}
  syslog {{
    daemon {{
      default = -1
    }}
    auth {{
      default = -1
    }}
  }}
}}
"
    )
}

fn connection_configuration(end: usize) -> String {
    let [own, peer] = [ENDS[end], ENDS[1 - end]].map(Ipv4Addr::from);
    format!(
        "connections {{
 peer {{
  version = 2
  local_addrs = {own}
  remote_addrs = {peer}
  proposals = aes128gcm16-prfsha256-curve25519
  mobike = no
  unique = never
  childless = force
  rekey_time = 0
  local {{
   id = {own}
   auth = pubkey
   pubkeys = own.pem
  }}
  remote {{
   id = {peer}
   auth = pubkey
   pubkeys = peer.pem
  }}
 }}
}}
"
    )
}
