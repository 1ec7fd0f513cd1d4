#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| host_tests::fuzz::update::run(octets));
