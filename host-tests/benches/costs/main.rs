//! What key management costs on this machine: a handshake by algorithm beside its bare public-key operations, the
//! answer to a stranger's first message, and both again with many SAs in the tables; a peer found by its name.
//! `cargo bench -p host-tests --bench costs [-- handshake | stranger | scale | resolve]`.
//!
//! Other work on the machine disturbs any time that is measured, so what is compared takes turns, and of each the
//! quickest turn counts.

mod handshake;
mod meter;
mod resolve;
mod scale;
mod stranger;

fn main() {
    // What `cargo bench` says itself begins with a dash.
    let wanted: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let parts: [(&str, fn()); 4] = [
        ("handshake", handshake::measure),
        ("stranger", stranger::measure),
        ("scale", scale::measure),
        ("resolve", resolve::measure),
    ];
    let all = move || {
        for (name, measure) in parts {
            if wanted.is_empty() || wanted.iter().any(|word| word == name) {
                measure();
                println!();
            }
        }
    };
    // The largest tables pass through the stack on their way to the heap.
    std::thread::Builder::new().stack_size(512 << 20).spawn(all).expect("a thread").join().expect("measured");
}
