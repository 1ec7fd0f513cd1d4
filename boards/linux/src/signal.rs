//! SIGTERM and SIGINT as a file descriptor, so that a device can say goodbye before it goes.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::task::Poll;

use crate::readiness::{Interest, when_ready};

/// Holds back the signals that ask a process to end; they show here instead.
#[derive(Debug)]
pub struct Termination(OwnedFd);

impl Termination {
    /// Holds them back from this thread and those it starts later, for the rest of the process.
    ///
    /// # Errors
    /// As the system says.
    pub fn hold_back() -> io::Result<Self> {
        // SAFETY: sigset_t is plain old data that sigemptyset initialises before anybody reads it; the
        // new descriptor is owned by nobody else, and errors are negative and caught.
        unsafe {
            let mut signals: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut signals);
            libc::sigaddset(&raw mut signals, libc::SIGTERM);
            libc::sigaddset(&raw mut signals, libc::SIGINT);
            let refused = libc::pthread_sigmask(libc::SIG_BLOCK, &raw const signals, std::ptr::null_mut());
            if refused != 0 {
                return Err(io::Error::from_raw_os_error(refused));
            }
            let fd = libc::signalfd(-1, &raw const signals, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(Self(OwnedFd::from_raw_fd(fd)))
        }
    }

    /// Waits until one has come.
    pub async fn requested(&self) {
        poll_fn(|cx| {
            let mut signal = [0u8; size_of::<libc::signalfd_siginfo>()];
            // SAFETY: the pointer and the length describe `signal`.
            let got = unsafe { libc::read(self.0.as_raw_fd(), signal.as_mut_ptr().cast(), signal.len()) };
            if got > 0 {
                return Poll::Ready(());
            }
            when_ready(self.0.as_fd(), Interest::Readable, cx.waker());
            Poll::Pending
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_wakes_who_waits_and_ends_nothing() {
        crate::time::make_real();
        let termination = Termination::hold_back().unwrap();
        // SAFETY: signals this thread, which holds the signal back.
        unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGTERM) };
        assert_eq!(crate::executor::run(termination.requested(), Vec::new()), Ok(()));
    }
}
