//! What a device on Linux remembers: a file that firmware takes for NOR flash.
//!
//! Made at the first start, readable by its owner only, locked for as long as the device runs. What is written is on
//! the disk before it counts as written.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use embassy_futures::block_on;
use embedded_storage_async::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use firmware::storage::flash::Flash;

/// Octets of a page, which are erased together.
const PAGE: usize = 4096;
/// Octets of the file.
const SIZE: u32 = 16 * 1024;

/// Opens what is remembered in `file`, which is made if it is not there.
///
/// # Errors
/// What is wrong, in words; the file's name stands in front.
pub fn open(file: &Path) -> Result<Flash<StateFile>, String> {
    let tell = |what: String| format!("{}: {what}", file.display());
    let opened = open_or_make(file).map_err(|error| tell(error.to_string()))?;
    let metadata = opened.metadata().map_err(|error| tell(error.to_string()))?;
    if !metadata.is_file() {
        return Err(tell("not a file: name another one with state = \"FILE\"".to_owned()));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(tell("others may read or write it: run `chmod 600` on it".to_owned()));
    }
    opened
        .try_lock()
        .map_err(|_| tell("another device uses it: give each its own state = \"FILE\"".to_owned()))?;
    if metadata.len() != u64::from(SIZE) {
        return Err(tell("not what a device wrote: move it away, and all is forgotten".to_owned()));
    }
    // A file is never waited for.
    block_on(Flash::open(StateFile(opened), 0..SIZE)).map_err(|error| tell(error.words().to_owned()))
}

fn open_or_make(file: &Path) -> io::Result<File> {
    let open = || OpenOptions::new().read(true).write(true).open(file);
    match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(file).and_then(|()| open()),
        opened => opened,
    }
}

/// Makes a file that is as good as erased flash. It gets its name when it is on the disk.
fn make(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let new = file.with_added_extension(format!("new-{}", std::process::id()));
    let erased = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    erased.write_all_at(&vec![0xFF; SIZE as usize], 0)?;
    erased.sync_all()?;
    let named = std::fs::hard_link(&new, file);
    std::fs::remove_file(&new)?;
    match named {
        // Another device was quicker; which of them has the file, its lock says.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => File::open(folder)?.sync_all(),
    }
}

/// A file as NOR flash.
#[derive(Debug)]
pub struct StateFile(File);

/// The system's reason why the file cannot be read or written.
#[derive(Debug)]
pub struct FileError(pub io::Error);

impl NorFlashError for FileError {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl ErrorType for StateFile {
    type Error = FileError;
}

impl ReadNorFlash for StateFile {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, octets: &mut [u8]) -> Result<(), FileError> {
        self.0.read_exact_at(octets, offset.into()).map_err(FileError)
    }

    fn capacity(&self) -> usize {
        SIZE as usize
    }
}

impl NorFlash for StateFile {
    const WRITE_SIZE: usize = 1;
    const ERASE_SIZE: usize = PAGE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), FileError> {
        let erased = vec![0xFF; to.saturating_sub(from) as usize];
        self.write(from, &erased).await
    }

    async fn write(&mut self, offset: u32, octets: &[u8]) -> Result<(), FileError> {
        self.0.write_all_at(octets, offset.into()).and_then(|()| self.0.sync_data()).map_err(FileError)
    }
}

#[cfg(test)]
mod tests {
    use firmware::storage::{Key, Storage, Value};
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(PartialEq, Eq, Debug, Serialize, Deserialize)]
    struct Number(u64);

    impl Value for Number {
        const VERSION: u8 = 1;
    }

    fn place(name: &str) -> std::path::PathBuf {
        let place = std::env::temp_dir().join(format!("buttons-state-{name}-{}", std::process::id()));
        let _ = std::fs::remove_file(&place);
        place
    }

    #[test]
    fn what_is_stored_is_there_when_the_file_is_opened_again() {
        let file = place("again");
        let mut state = open(&file).unwrap();
        for n in 0..1000 {
            block_on(state.store(Key::Clock, &Number(n))).unwrap();
        }
        assert!(open(&file).err().unwrap().contains("another device uses it"));
        drop(state);
        assert_eq!(block_on(open(&file).unwrap().load(Key::Clock)), Ok(Some(Number(999))));
        let metadata = std::fs::metadata(&file).unwrap();
        assert_eq!((metadata.permissions().mode() & 0o777, metadata.len()), (0o600, SIZE.into()));
        std::fs::remove_file(&file).unwrap();
    }

    #[test]
    fn file_of_another_kind_is_refused() {
        let file = place("kind");
        std::fs::write(&file, "notes").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(open(&file).err().unwrap().contains("chmod 600"));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(open(&file).err().unwrap().contains("not what a device wrote"));
        std::fs::remove_file(&file).unwrap();
        assert!(open(Path::new("/nonexistent/state")).err().unwrap().starts_with("/nonexistent/state: "));
    }
}
