//! What is measured: instructions, by the CMSDK timer of a machine that runs one instruction a
//! virtual nanosecond (`-icount shift=0`), and stack, by paint.

use core::ptr;

/// 10⁹ instructions a second over the timer's 25 MHz.
const INSTRUCTIONS_PER_TICK: u64 = 40;
/// TIMER0 of the mps2-an386: CTRL, VALUE, RELOAD.
const TIMER0: *mut u32 = 0x4000_0000 as *mut u32;
const PAINT: u32 = 0xB077_0115;
/// Octets under the painter's own frame that are left alone.
const MARGIN: usize = 256;

unsafe extern "C" {
    static mut __euninit: u32;
}

/// Counts instructions from its making on.
pub struct Stopwatch(u32);

impl Stopwatch {
    /// Starts the timer, which then counts down for ever.
    pub fn start_timer() {
        // SAFETY: the registers of TIMER0; this image has no other user of them.
        unsafe {
            ptr::write_volatile(TIMER0, 0);
            ptr::write_volatile(TIMER0.add(2), u32::MAX);
            ptr::write_volatile(TIMER0.add(1), u32::MAX);
            ptr::write_volatile(TIMER0, 1);
        }
    }

    /// Begins to count. One measurement may last 4.29 × 10⁹ ticks.
    pub fn new() -> Self {
        Self(ticks())
    }

    /// Instructions since `new`, to within 40.
    pub fn instructions(&self) -> u64 {
        u64::from(self.0.wrapping_sub(ticks())) * INSTRUCTIONS_PER_TICK
    }
}

fn ticks() -> u32 {
    // SAFETY: VALUE of TIMER0 may be read at any time.
    unsafe { ptr::read_volatile(TIMER0.add(1)) }
}

/// The unused stack, filled with a pattern.
pub struct Paint {
    top: usize,
}

impl Paint {
    /// Paints from the end of static data up to the caller's frame.
    #[inline(never)]
    pub fn new() -> Self {
        let top = cortex_m::register::msp::read() as usize;
        let mut at = (&raw const __euninit) as usize;
        while at < top - MARGIN {
            // SAFETY: between the end of static data and this frame nothing lives.
            unsafe { ptr::write_volatile(at as *mut u32, PAINT) };
            at += 4;
        }
        Self { top }
    }

    /// Octets of stack that were used since, below the frame that painted.
    #[inline(never)]
    pub fn deepest(&self) -> usize {
        let mut at = (&raw const __euninit) as usize;
        // SAFETY: reads RAM between the end of static data and a live frame.
        while at < self.top && unsafe { ptr::read_volatile(at as *const u32) } == PAINT {
            at += 4;
        }
        self.top - at
    }
}
