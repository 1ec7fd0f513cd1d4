//! Prints flash and static RAM of a firmware image by crate, from its symbol table. What algorithms in software
//! take of our crates has rows of its own, and so have texts for people (`Debug`).
//!
//! A function that was inlined counts where it ended up; read-only data without a symbol is shown
//! as `(no symbol)`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};

#[derive(Default, Clone, Copy)]
struct Size {
    flash: u64,
    ram: u64,
}

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!(
            "usage: footprint IMAGE\n\nPrints octets of flash and static RAM by crate. Example:\n  footprint target/thumbv7em-none-eabihf/release/qemu-mps2"
        );
        return ExitCode::from(2);
    };
    match by_part(&path) {
        Ok(sizes) => {
            print(&sizes);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("footprint: {path}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn by_part(path: &str) -> Result<BTreeMap<String, Size>, Box<dyn std::error::Error>> {
    let data = std::fs::read(path)?;
    let file = object::File::parse(&*data)?;
    let mut sizes: BTreeMap<String, Size> = BTreeMap::new();
    let mut rest: BTreeMap<_, Size> = file.sections().map(|s| (s.index().0, section_size(&s))).collect();
    for symbol in file.symbols().filter(|s| matches!(s.kind(), SymbolKind::Text | SymbolKind::Data)) {
        let Some(section) = symbol.section_index().and_then(|i| file.section_by_index(i).ok()) else {
            continue;
        };
        let size = scaled(&section, symbol.size());
        let left = rest.entry(section.index().0).or_default();
        left.flash = left.flash.saturating_sub(size.flash);
        left.ram = left.ram.saturating_sub(size.ram);
        add(sizes.entry(part_of(symbol.name()?)).or_default(), size);
    }
    for size in rest.into_values() {
        add(sizes.entry("(no symbol)".into()).or_default(), size);
    }
    Ok(sizes)
}

fn section_size(section: &object::Section<'_, '_>) -> Size {
    scaled(section, section.size())
}

/// Initialised data lies in flash and in RAM.
fn scaled(section: &object::Section<'_, '_>, size: u64) -> Size {
    match section.kind() {
        SectionKind::Text | SectionKind::ReadOnlyData => Size { flash: size, ram: 0 },
        SectionKind::Data => Size { flash: size, ram: size },
        SectionKind::UninitializedData => Size { flash: 0, ram: size },
        _ => Size::default(),
    }
}

fn add(sum: &mut Size, size: Size) {
    sum.flash += size.flash;
    sum.ram += size.ram;
}

/// The crate, and what of ours it is.
fn part_of(symbol: &str) -> String {
    let name = format!("{:#}", rustc_demangle::demangle(symbol));
    let owner = crate_of(&name);
    match owner {
        "ike_core" | "esp_engine" if name.contains("::crypto::software::") => format!("{owner} cryptography"),
        "ike_core" | "esp_engine" if name.contains(" as core::fmt::Debug>") => format!("{owner} Debug"),
        _ => owner.to_owned(),
    }
}

/// The first crate that a demangled path names: `<ike_core::A as core::B>::f` is ike_core's.
fn crate_of(name: &str) -> &str {
    name.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
        .find_map(|word| word.split_once("::").map(|(first, _)| first).filter(|first| !first.is_empty()))
        .unwrap_or("(C and assembly)")
}

fn print(sizes: &BTreeMap<String, Size>) {
    let mut rows: Vec<_> = sizes.iter().filter(|(_, s)| s.flash + s.ram > 0).collect();
    rows.sort_by_key(|(_, s)| std::cmp::Reverse(s.flash + s.ram));
    let mut sum = Size::default();
    println!("{:<28} {:>10} {:>10}", "octets by crate", "flash", "RAM");
    for (name, size) in rows {
        add(&mut sum, *size);
        println!("{name:<28} {:>10} {:>10}", size.flash, size.ram);
    }
    println!("{:<28} {:>10} {:>10}", "all", sum.flash, sum.ram);
}
