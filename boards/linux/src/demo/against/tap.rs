//! Who listens at strongSwan's end of the cable, and may send there.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::cable::{MAX_FRAME, Origin, Seen};
use crate::peer::Topology;
use crate::port::Wire;
use crate::port::packet::PacketSocket;

/// The eavesdropper and attacker; he stops when this goes.
pub struct Tap {
    seen: Arc<Mutex<Vec<Seen>>>,
    frames: Sender<Vec<u8>>,
    stop: Arc<AtomicBool>,
}

impl Tap {
    /// Begins to listen.
    ///
    /// # Errors
    /// What the system says.
    pub fn start(topology: &Topology) -> std::io::Result<Self> {
        let (frames, to_send) = channel::<Vec<u8>>();
        let (seen, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (kept, stopped, began) = (seen.clone(), stop.clone(), Instant::now());
        drop(topology.peer.thread(move || {
            let Ok(mut socket) = PacketSocket::eavesdrop("wan0") else { return };
            let mut frame = [0; MAX_FRAME];
            let mut injected: Vec<Vec<u8>> = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                for frame in to_send.try_iter() {
                    let _ = socket.send(&frame);
                    injected.push(frame);
                }
                match socket.receive(&mut frame) {
                    Ok(length) => {
                        let octets = frame.get(..length).unwrap_or(&frame).to_vec();
                        let origin = match injected.iter().position(|own| *own == octets) {
                            Some(place) => {
                                injected.swap_remove(place);
                                Origin::Attacker
                            }
                            // 192.0.2.1 is the device.
                            None => Origin::End(usize::from(octets.get(26..30) != Some(&[192, 0, 2, 1]))),
                        };
                        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(0);
                        if let Ok(mut seen) = kept.lock() {
                            seen.push(Seen { micros, origin, octets, blocked: false });
                        }
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(1)),
                }
            }
        })?);
        Ok(Self { seen, frames, stop })
    }

    /// Sends a frame of the attacker's towards the device.
    pub fn inject(&self, frame: &[u8]) {
        let _ = self.frames.send(frame.to_vec());
    }

    /// All that was heard so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().map(|seen| seen.clone()).unwrap_or_default()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
