//! The file of trust anchors that a configuration names.

use std::path::Path;

use firmware::config::MAX_DS;

use crate::resolve::anchors;

/// The RDATA of each DS record in a file.
pub fn read(path: &Path) -> Result<Vec<heapless::Vec<u8, MAX_DS>>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let records = anchors::records(&text).map_err(|bad| bad.to_string())?;
    // A digest that is longer is of no type that we know.
    Ok(records.iter().filter_map(|record| heapless::Vec::from_slice(record).ok()).collect())
}
