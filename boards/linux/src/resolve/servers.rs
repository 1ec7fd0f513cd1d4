//! Sockets to servers: a thread waits on each of them, for as long as an answer may take.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use ike_core::discovery::output::Socket;
use ike_core::discovery::stream::{MAX_MESSAGE, Stream};

/// How long a thread waits: no answer is wanted later.
const PATIENCE: Duration = Duration::from_secs(5);

/// What came on a socket, or that nothing will.
pub enum Came {
    /// A datagram.
    Datagram { socket: Socket, use_number: u32, server: SocketAddr, octets: Vec<u8> },
    /// A whole message on a connection.
    Message { socket: Socket, use_number: u32, octets: Vec<u8> },
    /// It could not be used.
    Failed { socket: Socket, use_number: u32 },
}

/// The sockets by number; each is used again and again, and what came late is told apart.
pub struct Sockets {
    sender: Sender<Came>,
    uses: HashMap<Socket, u32>,
    next: u32,
}

impl Came {
    const fn of(&self) -> (Socket, u32) {
        match self {
            Self::Datagram { socket, use_number, .. }
            | Self::Message { socket, use_number, .. }
            | Self::Failed { socket, use_number } => (*socket, *use_number),
        }
    }
}

impl Sockets {
    pub fn new(sender: Sender<Came>) -> Self {
        Self { sender, uses: HashMap::new(), next: 0 }
    }

    /// Whether it came for what the socket is used for now.
    pub fn is_current(&self, came: &Came) -> bool {
        let (socket, use_number) = came.of();
        self.uses.get(&socket) == Some(&use_number)
    }

    pub fn close(&mut self, socket: Socket) {
        self.uses.remove(&socket);
    }

    /// Sends a datagram from `port`.
    pub fn ask(&mut self, socket: Socket, server: SocketAddr, port: u16, octets: &[u8]) {
        let (use_number, sender) = (self.begin(socket), self.sender.clone());
        let octets = octets.to_vec();
        thread::spawn(move || {
            let came = |octets, server| Came::Datagram { socket, use_number, server, octets };
            if listen(server, port, &octets, |octets, from| sender.send(came(octets, from)).is_ok()).is_err()
            {
                let _ = sender.send(Came::Failed { socket, use_number });
            }
        });
    }

    /// Sends a message on a connection.
    pub fn connect(&mut self, socket: Socket, server: SocketAddr, octets: &[u8]) {
        let (use_number, sender) = (self.begin(socket), self.sender.clone());
        let octets = octets.to_vec();
        thread::spawn(move || {
            let _ = sender.send(match converse(server, &octets) {
                Ok(octets) => Came::Message { socket, use_number, octets },
                Err(_) => Came::Failed { socket, use_number },
            });
        });
    }

    fn begin(&mut self, socket: Socket) -> u32 {
        self.next += 1;
        self.uses.insert(socket, self.next);
        self.next
    }
}

/// Until nothing came for a while, or nobody listens any more.
fn listen(
    server: SocketAddr,
    port: u16,
    octets: &[u8],
    hear: impl Fn(Vec<u8>, SocketAddr) -> bool,
) -> std::io::Result<()> {
    let socket = match server {
        SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?,
        SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port))?,
    };
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send_to(octets, server)?;
    let mut buffer = [0; MAX_MESSAGE];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        if !hear(buffer.get(..length).unwrap_or_default().to_vec(), from) {
            break;
        }
    }
    Ok(())
}

fn converse(server: SocketAddr, octets: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut connection = TcpStream::connect_timeout(&server, PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    let length = u16::try_from(octets.len()).map_err(std::io::Error::other)?;
    connection.write_all(&[&length.to_be_bytes(), octets].concat())?;
    let mut stream = Stream::<MAX_MESSAGE>::new();
    let mut buffer = [0; 512];
    loop {
        let count = connection.read(&mut buffer)?;
        let came = stream.push(buffer.get(..count).unwrap_or_default());
        match came.map_err(|_| std::io::Error::other("too long"))? {
            Some(message) => return Ok(message.to_vec()),
            None if count == 0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            None => {}
        }
    }
}
