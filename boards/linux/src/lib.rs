//! Buttons on Linux.
