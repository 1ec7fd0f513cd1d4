//! Who waits for which file descriptor, and the `poll(2)` in which an idle thread sleeps.

use std::cell::RefCell;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::task::Waker;
use std::time::Duration;

/// What a descriptor is waited for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Interest {
    /// Something to read, or someone to accept.
    Readable,
    /// Room to write.
    Writable,
}

struct Waiting {
    fd: RawFd,
    interest: Interest,
    waker: Waker,
}

thread_local! {
    static WAITING: RefCell<Vec<Waiting>> = const { RefCell::new(Vec::new()) };
}

/// Wakes `waker` once when `fd` is ready. Called again before that, it replaces what stood there.
pub fn when_ready(fd: BorrowedFd<'_>, interest: Interest, waker: &Waker) {
    let fd = fd.as_raw_fd();
    WAITING.with_borrow_mut(|all| match all.iter_mut().find(|w| w.fd == fd && w.interest == interest) {
        Some(waiting) => waiting.waker.clone_from(waker),
        None => all.push(Waiting { fd, interest, waker: waker.clone() }),
    });
}

/// Sleeps until a descriptor is ready or `timeout` has passed (`None`: for as long as it takes), and
/// wakes whoever waited for what is ready.
pub fn wait(timeout: Option<Duration>) {
    let mut watched: Vec<libc::pollfd> = WAITING.with_borrow(|all| {
        all.iter()
            .map(|w| libc::pollfd {
                fd: w.fd,
                events: match w.interest {
                    Interest::Readable => libc::POLLIN,
                    Interest::Writable => libc::POLLOUT,
                },
                revents: 0,
            })
            .collect()
    });
    // Rounded up: waking before the alarm would only sleep again.
    let ms = timeout.map_or(-1, |t| i32::try_from(t.as_micros().div_ceil(1000)).unwrap_or(i32::MAX));
    let count = watched.len() as libc::nfds_t;
    // SAFETY: the pointer and the count describe one live Vec, which poll(2) only fills in.
    let ready = unsafe { libc::poll(watched.as_mut_ptr(), count, ms) };
    if ready <= 0 {
        return;
    }
    // A closed descriptor is reported too (POLLNVAL): its reader then sees the error itself.
    let is_ready = |w: &mut Waiting| {
        watched.iter().any(|p| p.fd == w.fd && p.revents != 0 && matches_interest(w.interest, p))
    };
    let due: Vec<Waker> =
        WAITING.with_borrow_mut(|all| all.extract_if(.., is_ready).map(|w| w.waker).collect());
    due.into_iter().for_each(Waker::wake);
}

fn matches_interest(interest: Interest, polled: &libc::pollfd) -> bool {
    match interest {
        Interest::Readable => polled.events == libc::POLLIN,
        Interest::Writable => polled.events == libc::POLLOUT,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::task::Poll;

    use super::*;

    #[test]
    fn a_reader_sleeps_until_its_descriptor_is_ready() {
        crate::time::make_real();
        let (mut reader, mut writer) = UnixStream::pair().unwrap();
        reader.set_nonblocking(true).unwrap();
        let late = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            writer.write_all(b"x").unwrap();
        });
        let mut octet = [0];
        let read = std::future::poll_fn(|cx| match reader.read(&mut octet) {
            Ok(n) => Poll::Ready(n),
            Err(_) => {
                when_ready(reader.as_fd(), Interest::Readable, cx.waker());
                Poll::Pending
            }
        });
        assert_eq!(crate::executor::run(read, Vec::new()), Ok(1));
        late.join().unwrap();
    }
}
