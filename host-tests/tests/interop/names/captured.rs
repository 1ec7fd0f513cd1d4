//! Programs of a host behind the device, which is their resolver and validates by itself what Unbound or BIND say.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use super::stage::{DEVICE, Stage, with_logs};
use super::witness::Witness;
use crate::Fault;
use crate::capture::{ResolvConf, ping};
use crate::device::Device;
use crate::dns::hosts::KEYS;
use crate::dns::relay::{Manner, RELAY, Relay};
use crate::dns::{BIND, UNBOUND};
use crate::ground::expect;
use crate::sniffer::{MARKER, Sniffer};

/// It has a key in DNS, and so has its forged double.
const NAME: &str = "dev2.nsec.test";
/// How late the relay answers.
const LATE: Duration = Duration::from_millis(200);

const CAPTURE: &str = r#"[dns.capture]
allow = [".test"]

[[policy]]
name = "rest"
local = "10.1.0.0/16"
remote = "0.0.0.0/0"
action = "bypass"
"#;

pub fn captured(stage: &Stage) -> Result<(), Fault> {
    stage.far_is_a_host()?;
    let _resolver = ResolvConf::new(&stage.host)?;
    serve(stage)?;
    let (peer, _) = stage.strongswan(NAME, &KEYS[1], "192.0.2.2/32")?;
    let witness = Witness::start(stage)?;
    let wire = Sniffer::start(&stage.far, "wan0", MARKER)?;
    for server in [UNBOUND, BIND] {
        let device = stage.gateway(DEVICE, server, CAPTURE)?;
        let told = protected(stage, &device).and_then(|()| forged(stage));
        told.map_err(|fault| with_logs(&format!("by {server}: {fault}").into(), &device, &peer.log()))?;
        device.stop()?;
    }
    let heard = wire.finish()?;
    expect(heard.marked == 0 && heard.esp > 20, || format!("in clear on the wire: {heard:?}"))?;
    witness.saw_only_esp()?;
    let _relay = Relay::start(&stage.dns.namespace, Manner::Late(LATE))?;
    let device = stage.gateway(DEVICE, RELAY, CAPTURE)?;
    without_key(stage).map_err(|fault| with_logs(&fault, &device, ""))
}

/// A page, and the first line of an SSH server (RFC 4253 §4.2), both with the marker.
fn serve(stage: &Stage) -> Result<(), Fault> {
    let page = [b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n", &MARKER[..], b"\n"].concat();
    let banner = [b"SSH-2.0-", &MARKER[..], b"\r\n"].concat();
    for (port, words) in [(80, page), (22, banner)] {
        let (ready, wait) = std::sync::mpsc::channel();
        drop(stage.far.thread(move || {
            let Ok(listener) = TcpListener::bind(("192.0.2.2", port)) else { return };
            let _ = ready.send(());
            for mut stream in listener.incoming().flatten() {
                let _ = stream.write_all(&words);
                // What the client says is read, so that it is not reset.
                let _ = stream.read(&mut [0; 2_000]);
            }
        })?);
        wait.recv().map_err(|_| format!("nobody serves port {port}"))?;
    }
    Ok(())
}

/// `ping`, `curl` and `ssh` by name.
fn protected(stage: &Stage, device: &Device) -> Result<(), Fault> {
    let said = ping(&stage.host, NAME)?;
    expect(said.contains(" 3 received, 0% packet loss"), || said)?;
    let page = stage.host.command("curl").args(["-s", "-m", "10", &format!("http://{NAME}/")]).output()?;
    expect(page.stdout.starts_with(MARKER), || format!("no page: {page:?}"))?;
    let options = ["-v", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-o", "StrictHostKeyChecking=no"];
    let ssh = stage.host.command("ssh").args(options).arg(NAME).output()?;
    let told = String::from_utf8_lossy(&ssh.stderr);
    let greeting = format!("remote software version {}", String::from_utf8_lossy(MARKER));
    expect(told.contains(&greeting), || format!("no SSH server: {told}"))?;
    let status = device.status()?;
    expect(status.child_sas.len() == 1, || format!("not one Child SA: {status:?}"))
}

/// RFC 4035 §5.5: a forged key leaves the name without address, also for who asks not to have it checked (CD), whom
/// the server would tell.
fn forged(stage: &Stage) -> Result<(), Fault> {
    for flag in ["+nocdflag", "+cdflag"] {
        let question = ["+tries=1", "+time=4", flag, "@10.1.0.1", "dev2.bogus.test", "A"];
        let said = stage.host.run("dig", &question)?;
        expect(said.contains("status: SERVFAIL") && !said.contains("192.0.2."), || said)?;
    }
    Ok(())
}

/// The key is asked for beside the address: who has none is there after one round trip more at most.
fn without_key(stage: &Stage) -> Result<(), Fault> {
    let ask = |name| stage.host.run("dig", &["+tries=1", "+time=4", "@10.1.0.1", name, "A"]);
    // The device gets to know its neighbour.
    ask("plain.nsec3.test")?;
    let said = ask("plain.nsec.test")?;
    let took = said.split("Query time: ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    let took = Duration::from_millis(took.parse()?);
    println!("a name without key takes {took:?} at {LATE:?} a round trip");
    expect(said.contains("\t192.0.2.3\n") && took >= LATE && took < 2 * LATE, || said.clone())
}
