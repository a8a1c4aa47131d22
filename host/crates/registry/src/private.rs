//! A flat folder that belongs to the host alone, in which a file is either there in full or not at all.
//!
//! Every name is opened beneath the folder's own handle, so no name can lead out of it.

use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt, Permissions, PermissionsExt};

/// Files that are being written carry this prefix; whoever lists the folder does not see them.
const UNFINISHED: &str = ".unfinished-";

/// A folder of mode 0700 with files of mode 0600.
#[derive(Debug)]
pub struct PrivateFolder {
    dir: Dir,
    writes: AtomicU64,
}

impl PrivateFolder {
    /// Opens the folder, creates it if it is missing, and takes it away from everybody else.
    pub fn open(path: &Path) -> io::Result<Self> {
        Dir::create_ambient_dir_all(path, ambient_authority())?;
        let dir = Dir::open_ambient_dir(path, ambient_authority())?;
        dir.set_permissions(".", Permissions::from_mode(0o700))?;
        Ok(Self { dir, writes: AtomicU64::new(0) })
    }

    /// The bytes of a file, or `None` if there is no such file. More than `bytes_max` is an error.
    pub fn read(&self, name: &str, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
        let file = match self.dir.open(name) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let too_large =
            || io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {bytes_max} bytes"));
        let expected = file.metadata()?.len();
        if expected > bytes_max {
            // Without reading what will be thrown away.
            return Err(too_large());
        }
        let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or(0) + 1);
        file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > bytes_max {
            return Err(too_large());
        }
        Ok(Some(bytes))
    }

    /// At most `bytes_max` of a file's bytes from an offset on, or `None` if there is no such file. Beyond its end there are none.
    pub fn read_part(&self, name: &str, offset: u64, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
        let mut file = match self.dir.open(name) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        file.seek(io::SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(bytes_max).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// What is known of a file, or `None` if there is no such file.
    pub fn file(&self, name: &str) -> io::Result<Option<PrivateFile>> {
        match self.dir.metadata(name) {
            Ok(metadata) => Ok(Some(PrivateFile::of(name.to_owned(), &metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts a file in place of whatever had its name. After a crash there is the old one or the new one, never half of one;
    /// once this has returned, the new one stays.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.place(bytes, |unfinished| self.dir.rename(unfinished, &self.dir, name))
    }

    /// Creates a file unless one of that name is there, and says whether it did. As safe against a crash as `write`.
    pub fn create(&self, name: &str, bytes: &[u8]) -> io::Result<bool> {
        let linked = self.place(bytes, |unfinished| {
            let linked = self.dir.hard_link(unfinished, &self.dir, name);
            self.dir.remove_file(unfinished)?;
            linked
        });
        match linked {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            other => other.map(|()| true),
        }
    }

    /// Removes a file and says whether it was there.
    pub fn remove(&self, name: &str) -> io::Result<bool> {
        match self.dir.remove_file(name) {
            Ok(()) => self.sync().map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The files that are there in full, in the order of their names.
    pub fn files(&self) -> io::Result<Vec<PrivateFile>> {
        let mut files = Vec::new();
        for entry in self.dir.entries()? {
            let entry = entry?;
            let (Ok(name), Ok(metadata)) = (entry.file_name().into_string(), entry.metadata()) else {
                continue;
            };
            if metadata.is_file() && !name.starts_with(UNFINISHED) {
                files.push(PrivateFile::of(name, &metadata));
            }
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }

    fn place(&self, bytes: &[u8], into_place: impl FnOnce(&str) -> io::Result<()>) -> io::Result<()> {
        let (mut file, unfinished) = self.unfinished()?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        drop(file);
        let placed = written.and_then(|()| into_place(&unfinished));
        if placed.is_err() {
            // It may be gone already, and the first error is the one to tell.
            let _ = self.dir.remove_file(&unfinished);
        }
        placed.and_then(|()| self.sync())
    }

    /// A new file under a name that nobody else uses, in this process or another.
    fn unfinished(&self) -> io::Result<(cap_std::fs::File, String)> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        loop {
            let number = self.writes.fetch_add(1, Ordering::Relaxed);
            let name = format!("{UNFINISHED}{}-{number}", std::process::id());
            match self.dir.open_with(&name, &options) {
                Ok(file) => return Ok((file, name)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes the names in the folder last, as `sync_all` does for a file's bytes.
    fn sync(&self) -> io::Result<()> {
        self.dir.open(".")?.sync_all()
    }
}

/// One file of a [`PrivateFolder`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateFile {
    /// Its name within the folder.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was last written, if the file system tells.
    pub modified: Option<std::time::SystemTime>,
}

impl PrivateFile {
    fn of(name: String, metadata: &cap_std::fs::Metadata) -> Self {
        let modified = metadata.modified().ok().map(cap_std::time::SystemTime::into_std);
        Self { name, bytes: metadata.len(), modified }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_in_full_and_nothing_is_left_over() {
        let home = tempfile::tempdir().unwrap();
        let folder = PrivateFolder::open(&home.path().join("a/b")).unwrap();
        assert_eq!(folder.read("x", 10).unwrap(), None);
        folder.write("x", b"old").unwrap();
        folder.write("x", b"new").unwrap();
        assert_eq!(folder.read("x", 10).unwrap().unwrap(), b"new");
        assert!(!folder.create("x", b"other").unwrap());
        assert!(folder.create("y", b"other").unwrap());
        assert_eq!(
            folder.files().unwrap().iter().map(|file| file.name.as_str()).collect::<Vec<_>>(),
            ["x", "y"]
        );
        assert_eq!(std::fs::read_dir(home.path().join("a/b")).unwrap().count(), 2);
        assert!(folder.remove("x").unwrap());
        assert!(!folder.remove("x").unwrap());
    }

    #[test]
    fn only_the_owner_gets_in_and_no_name_leads_out() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("open");
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
        let folder = PrivateFolder::open(&path).unwrap();
        folder.write("x", b"secret").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join("x"))), (0o700, 0o600));

        std::fs::write(home.path().join("outside"), "").unwrap();
        std::os::unix::fs::symlink(home.path().join("outside"), path.join("link")).unwrap();
        for name in ["../outside", "link", "/etc/hostname"] {
            assert!(folder.read(name, 10).is_err(), "{name}");
        }
        assert!(folder.write("../new", b"").is_err());
    }

    #[test]
    fn a_file_is_read_in_parts() {
        let home = tempfile::tempdir().unwrap();
        let folder = PrivateFolder::open(home.path()).unwrap();
        folder.write("x", b"0123456789").unwrap();
        let part = |offset, max| folder.read_part("x", offset, max).unwrap().unwrap();
        assert_eq!((part(0, 4), part(4, 100), part(10, 4)), (b"0123".to_vec(), b"456789".to_vec(), vec![]));
        assert_eq!(folder.read_part("y", 0, 1).unwrap(), None);
        assert_eq!(folder.file("x").unwrap().unwrap().bytes, 10);
        assert_eq!(folder.file("y").unwrap(), None);
    }

    #[test]
    fn a_file_larger_than_wanted_is_an_error() {
        let home = tempfile::tempdir().unwrap();
        let folder = PrivateFolder::open(home.path()).unwrap();
        folder.write("x", &[0; 11]).unwrap();
        assert_eq!(folder.read("x", 10).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(folder.read("x", 11).unwrap().unwrap().len(), 11);
    }
}
