//! How an operator asks a running device: a Unix socket, one JSON request and one JSON answer a
//! connection.

use std::future::poll_fn;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::task::Poll;

use embassy_futures::select::select;
use embassy_time::{Duration, Timer};
use firmware::config::Site;
use firmware::management::{Explanation, Management, Request, Response, Status};
use ike_core::discovery::UnixTime;

use crate::readiness::{Interest, when_ready};
use crate::resolve::moment;

/// Octets of the longest request.
const MAX_REQUEST: usize = 512;
/// How long an operator's connection may stay silent.
const PATIENCE: Duration = Duration::from_secs(2);

/// Answers operators for ever, one after the other. `lines` are those that policies begin in.
pub async fn serve(listener: &UnixListener, management: &Management, lines: &[u32]) {
    loop {
        let accepted = poll_fn(|cx| match listener.accept() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                when_ready(listener.as_fd(), Interest::Readable, cx.waker());
                Poll::Pending
            }
            done => Poll::Ready(done),
        });
        match accepted.await {
            // Whoever does not speak or listen has himself to blame; the next one is served.
            Ok((stream, _)) => drop(select(answer(stream, management, lines), Timer::after(PATIENCE)).await),
            Err(_) => Timer::after(PATIENCE).await,
        }
    }
}

async fn answer(mut stream: UnixStream, management: &Management, lines: &[u32]) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    let mut asked = Vec::new();
    while !asked.ends_with(b"\n") && asked.len() < MAX_REQUEST {
        let mut octets = [0; MAX_REQUEST];
        let count = poll_fn(|cx| match stream.read(&mut octets) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                when_ready(stream.as_fd(), Interest::Readable, cx.waker());
                Poll::Pending
            }
            done => Poll::Ready(done),
        })
        .await?;
        if count == 0 {
            break;
        }
        asked.extend(octets.iter().take(count));
    }
    let request: Request = serde_json::from_slice(&asked)?;
    let mut response = management.ask(request).await;
    if let Response::Why(explanation) = &mut response {
        add_line(explanation, lines);
    }
    let mut answer = serde_json::to_vec(&response)?;
    answer.push(b'\n');
    let mut rest = answer.as_slice();
    while !rest.is_empty() {
        let written = poll_fn(|cx| match stream.write(rest) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                when_ready(stream.as_fd(), Interest::Writable, cx.waker());
                Poll::Pending
            }
            done => Poll::Ready(done),
        })
        .await?;
        rest = rest.get(written..).unwrap_or_default();
    }
    Ok(())
}

/// Says where the policy is written, if those of the file begin in these lines.
pub fn add_line(explanation: &mut Explanation, lines: &[u32]) {
    if let Some(policy) = &mut explanation.policy {
        policy.line = policy.place.and_then(|place| lines.get(usize::from(place)).copied());
    }
}

/// Asks the device at `socket`.
///
/// # Errors
/// What to do, in words.
pub fn ask(socket: &Path, request: &Request) -> Result<Response, String> {
    let place = socket.display();
    let stream = UnixStream::connect(socket).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            format!("no device answers at {place}: start one with `buttons run FILE.toml`, or name its socket with --socket")
        }
        io::ErrorKind::PermissionDenied => {
            format!("not allowed to ask at {place}: be the user who started the device")
        }
        _ => format!("{place}: {error}"),
    })?;
    converse(stream, request).map_err(|error| format!("{place}: {error}"))
}

fn converse(mut stream: UnixStream, request: &Request) -> io::Result<Response> {
    stream.set_read_timeout(Some(std::time::Duration::from_secs(5)))?;
    let mut asked = serde_json::to_vec(request)?;
    asked.push(b'\n');
    stream.write_all(&asked)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}

/// What names are looked up by: the time of day, servers, trust anchors; nothing where none are.
fn show_names(text: &mut String, status: &Status) {
    use std::fmt::Write as _;
    let clock = &status.clock;
    let source = clock.source.word();
    let _ = match clock.unix {
        _ if status.dns.is_empty() => Ok(()),
        Some(time) => writeln!(text, "clock: {} ({source})", moment::show(UnixTime(time))),
        None => writeln!(
            text,
            "clock: not set ({source}); keys in DNS wait for it, others do not\n  not before {}",
            moment::show(UnixTime(clock.not_before))
        ),
    };
    for (server, was) in &clock.servers {
        let _ = writeln!(text, "  time server {server}: {was}");
    }
    for server in &status.dns {
        let believed = if server.is_believed { ", believed" } else { "" };
        let _ = match (server.lacks.is_empty(), server.is_probed || server.is_believed) {
            (true, true) => writeln!(text, "DNS server {}: good{believed}", server.address),
            (true, false) => writeln!(text, "DNS server {}: not tried out yet", server.address),
            (false, _) => {
                writeln!(text, "DNS server {}{believed}:\n  {}", server.address, server.lacks.join("\n  "))
            }
        };
    }
    for anchor in &status.anchors {
        let learnt = if anchor.is_configured { "" } else { ", learnt" };
        let _ = writeln!(text, "root key {}: {}{learnt}", anchor.key_tag, anchor.state);
    }
}

/// The status as a person reads it.
pub fn show(status: &Status) -> String {
    use std::fmt::Write as _;
    let mut text = format!("up {} s\n", status.uptime_ms / 1000);
    for Site { address, gateway } in &status.outside {
        let _ = write!(text, "address {}/{}", address.address, address.length);
        let _ = match gateway {
            Some(via) => writeln!(text, ", default route by {via}"),
            None => writeln!(text),
        };
    }
    if status.refused_leases > 0 {
        let _ = writeln!(text, "offers of DHCP servers not taken: {}", status.refused_leases);
    }
    if !status.remembers {
        text.push_str("no storage: what is learnt is forgotten at the next start\n");
    }
    if let Some(of) = &status.unplaced {
        let _ = writeln!(text, "no place to remember {of}: see `buttons pins`, and forget somebody");
    }
    show_names(&mut text, status);
    for peer in &status.peers {
        let _ = match (peer.established, &peer.last_reason) {
            (0, Some(reason)) => writeln!(text, "peer {}: not connected: {}", peer.name, reason.words),
            (0, None) => writeln!(text, "peer {}: not connected", peer.name),
            (count, _) => writeln!(text, "peer {}: connected ({count} IKE SA)", peer.name),
        };
    }
    for sa in &status.ike_sas {
        let state = if sa.established { "established" } else { "under way" };
        let level = sa.level.map_or("not yet authenticated", |level| level.words());
        let _ = writeln!(
            text,
            "IKE SA {:016x} {:016x}\n  {state}, {} at {}",
            sa.spis.0, sa.spis.1, sa.identity, sa.remote
        );
        if let Some(owner) = sa.gateway_for {
            let _ = writeln!(text, "  gateway for {owner}");
        }
        let _ = writeln!(text, "  level: {level}");
    }
    for sa in &status.child_sas {
        // Of the policies only those for found addresses have no name.
        let what =
            if sa.policy.is_empty() { "a found address".into() } else { format!("policy {}", sa.policy) };
        let _ = writeln!(text, "Child SA {:08x} in, {:08x} out, {what}", sa.inbound, sa.outbound);
        let (ip, op, io, oo) = (sa.packets.0, sa.packets.1, sa.octets.0, sa.octets.1);
        let _ = writeln!(text, "  {ip} packets, {io} octets in; {op} packets, {oo} octets out");
        let _ = writeln!(text, "  level: {}", sa.level.words());
    }
    let (p, d) = (&status.packets, &status.datagrams);
    let _ = writeln!(text, "packets: {} sealed, {} opened, {} dropped", p.sealed, p.opened, p.dropped);
    let _ = writeln!(text, "         {} in and {} out in clear by policy", p.bypassed_in, p.bypassed_out);
    let _ = writeln!(
        text,
        "IKE: {} datagrams taken, {} discarded, {} negotiations failed",
        d.accepted, d.discarded, d.failed
    );
    if d.network_full > 0 {
        let _ = writeln!(text, "     {} of these strangers whose network has its share", d.network_full);
    }
    text
}

#[cfg(test)]
mod tests {
    use firmware::config::clock::Source;
    use firmware::management::{AnchorStatus, ClockStatus, DnsServerStatus, Phrase};
    use ike_core::discovery::upstream::Lack;

    use super::*;

    #[test]
    fn nobody_there_is_told_with_what_to_do() {
        let said = ask(Path::new("/nonexistent/buttons.sock"), &Request::Status).unwrap_err();
        assert!(said.contains("buttons run FILE.toml"), "{said}");
    }

    #[test]
    fn a_status_without_anything_is_readable() {
        let text = show(&Status { remembers: true, ..Status::default() });
        assert!(text.starts_with("up 0 s\npackets: 0 sealed"), "{text}");
    }

    /// What names are looked up by, and what is wrong with it, in lines of at most 80 columns.
    #[test]
    fn clock_servers_and_anchors_are_shown() {
        let server = |last: u8, is_probed, lacks: &[&str]| DnsServerStatus {
            address: ([192, 0, 2, last], 53).into(),
            is_believed: false,
            is_probed,
            lacks: lacks.iter().map(|words| Phrase::try_from(*words).unwrap()).collect(),
        };
        let phrase = |words| Phrase::try_from(words).unwrap();
        let mut status = Status { remembers: true, ..Status::default() };
        let longest = Lack::ALL.map(Lack::words).into_iter().max_by_key(|words| words.len()).unwrap();
        status.dns = [server(53, true, &[]), server(54, false, &[])].into_iter().collect();
        status.clock = ClockStatus {
            source: Source::Sntp,
            unix: None,
            not_before: 1_795_000_000,
            servers: [(([192, 0, 2, 123], 123).into(), phrase("does not answer"))].into_iter().collect(),
        };
        let anchor = AnchorStatus { key_tag: 38696, state: phrase("AddPend"), is_configured: false };
        status.anchors = [anchor].into_iter().collect();
        let text = show(&status);
        for line in [
            "clock: not set (sntp); keys in DNS wait for it, others do not",
            "  not before 2026-11-18 11:06:40 UTC",
            "  time server 192.0.2.123:123: does not answer",
            "DNS server 192.0.2.53:53: good",
            "DNS server 192.0.2.54:53: not tried out yet",
            "root key 38696: AddPend, learnt",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} in {text}");
        }
        status.clock.unix = Some(1_795_000_000);
        status.dns = [server(53, true, &[longest])].into_iter().collect();
        let text = show(&status);
        assert!(text.contains("clock: 2026-11-18 11:06:40 UTC (sntp)\n"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    }

    /// What is missing is told with what to do; what never happened takes no line.
    #[test]
    fn places_that_lack_are_shown() {
        let mut status = Status { remembers: true, ..Status::default() };
        status.unplaced = Some("b.example".try_into().unwrap());
        (status.datagrams.failed, status.datagrams.network_full) = (9, 7);
        let text = show(&status);
        assert!(text.contains("no place to remember b.example: see `buttons pins`"), "{text}");
        assert!(text.ends_with("     7 of these strangers whose network has its share\n"), "{text}");
        assert!(!show(&Status::default()).contains("share"));
    }

    #[test]
    fn a_device_without_storage_says_so() {
        let text = show(&Status::default());
        assert!(text.starts_with("up 0 s\nno storage: "), "{text}");
    }
}
