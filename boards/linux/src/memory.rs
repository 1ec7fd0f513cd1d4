//! Where a device's memory lies on Linux: on the heap, each piece in one place for as long as the device lives.
//!
//! Pools and futures are values of some hundred kilobytes, and are made on the stack before they can be moved;
//! an unoptimised build has each of them there two or three times. So each is made in a call of its own, on a
//! stack that has been left again before the device runs.

/// A place on the heap for what `new` makes. A future is pinned there by [`Box::into_pin`].
#[inline(never)]
pub fn room<T>(new: impl FnOnce() -> T) -> Box<T> {
    Box::new(new())
}
