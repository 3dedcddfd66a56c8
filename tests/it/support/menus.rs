//! Menu files for a test to change.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A copy of the menus, to be changed.
pub struct Folder {
    temp: TempDir,
}

impl Folder {
    /// With these for the booking flow, in English and Swahili only.
    pub fn with_flow(flow: &str) -> Folder {
        let folder = Folder::new();
        fs::remove_dir_all(folder.path().join("translations")).unwrap();
        // Nothing of it calls the other flows.
        for called in ["host.yaml", "choose_language.yaml"] {
            fs::remove_file(folder.path().join(called)).unwrap();
        }
        fs::write(folder.path().join("booking.yaml"), flow).unwrap();
        folder
    }

    pub fn new() -> Folder {
        let folder = Folder {
            temp: TempDir::new().unwrap(),
        };
        copy(Path::new("menus"), &folder.path());
        folder
    }

    pub fn path(&self) -> PathBuf {
        self.temp.path().join("menus")
    }

    pub fn setting(&self) -> String {
        format!("menus: {}\n", self.path().display())
    }

    /// Replaces what has to be there.
    pub fn change(&self, name: &str, from: &str, to: &str) {
        let path = self.path().join(name);
        let source = fs::read_to_string(&path).unwrap();
        assert!(source.contains(from), "{from}");
        fs::write(&path, source.replacen(from, to, 1)).unwrap();
    }

    pub fn retitle(&self, from: &str, to: &str) {
        self.change("booking.yaml", from, to);
    }
}

/// A folder with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}
