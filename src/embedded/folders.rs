//! The data folder: one owner at a time, entered by the user who runs the servers, sockets short enough.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::{env, process};

use data_encoding::HEXLOWER;
use nix::unistd::{Uid, User, geteuid};
use sha2::{Digest, Sha256};

use super::StoresError;

/// Longest path of a unix socket, in bytes, without its closing zero. Source: `sun_path` of unix(7), and of macOS.
pub(super) const SOCKET_PATH_MAX: usize = if cfg!(target_os = "macos") { 103 } else { 107 };
/// Longest file name in the socket folder: `.s.PGSQL.5432.lock`.
const SOCKET_NAME_MAX: usize = 18;
/// Whom root runs the servers as, the first that exists.
const ACCOUNTS: [&str; 2] = ["postgres", "nobody"];
/// Only the owner.
const PRIVATE: u32 = 0o700;
/// What others need on their way to a folder inside.
const PASSAGE: u32 = 0o011;

/// Where the stores live unless told otherwise: `data` in the working folder. For root `/var/lib/reserveflow`, because the
/// servers then run as another user, to whom root's home and a checkout in it are closed.
pub fn default_data_dir() -> PathBuf {
    if geteuid().is_root() {
        PathBuf::from("/var/lib/reserveflow")
    } else {
        PathBuf::from("data")
    }
}

/// The prepared folders, all absolute. The data folder stays locked as long as this lives.
#[derive(Debug)]
pub(super) struct Folders {
    pub(super) data: PathBuf,
    pub(super) postgres: PathBuf,
    pub(super) redis: PathBuf,
    pub(super) run: PathBuf,
    pub(super) socket: PathBuf,
    /// Who runs the servers, where that is not us.
    pub(super) account: Option<Account>,
    lock: File,
}

/// The user who runs the servers for root.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
    name: String,
}

impl Folders {
    /// Creates what is missing and locks the folder.
    pub(super) fn open(data: &Path) -> Result<Folders, StoresError> {
        create_dir_all(data)?;
        let data = fs::canonicalize(data).map_err(StoresError::io("find", data))?;
        let lock = lock(&data)?;
        let postgres = data.join("pg");
        let account = account(&postgres)?;
        if let Some(account) = &account {
            open_if_new(&data)?;
            account.check_reach(&data)?;
        }
        let folders = Folders {
            redis: data.join("redis"),
            run: data.join("run"),
            socket: socket_folder(&data)?,
            postgres,
            data,
            account,
            lock,
        };
        folders.create(&folders.redis)?;
        folders.create(&folders.socket)?;
        create_private(&folders.run, geteuid().as_raw())?;
        Ok(folders)
    }

    /// Creates a folder that only the servers' user may enter.
    pub(super) fn create(&self, folder: &Path) -> Result<(), StoresError> {
        let Some(account) = &self.account else {
            return create_private(folder, geteuid().as_raw());
        };
        let owner = fs::symlink_metadata(folder).map_or(0, |metadata| metadata.uid());
        if owner == account.uid {
            return create_private(folder, account.uid);
        }
        create_private(folder, 0)?;
        chown(folder, Some(account.uid), Some(account.gid))
            .map_err(StoresError::io("hand over", folder))
    }

    /// Removes the socket folder where it is not inside the data folder.
    pub(super) fn close(&self) {
        if !self.socket.starts_with(&self.data) {
            // What is left in a temporary folder is nobody's loss.
            let _ = fs::remove_dir(&self.socket);
        }
    }
}

impl Drop for Folders {
    /// A child that another thread has forked and that has not become its program yet shares the open file: closing
    /// ours would leave the folder locked for that moment.
    fn drop(&mut self) {
        // It is closed next anyway.
        let _ = self.lock.unlock();
    }
}

impl Account {
    /// Refuses a path with a folder this user may not pass. Access lists are not looked at: packages do not set them on `/`.
    fn check_reach(&self, data: &Path) -> Result<(), StoresError> {
        let mut way: Vec<&Path> = data.ancestors().collect();
        way.reverse();
        for folder in way {
            let metadata = fs::metadata(folder).map_err(StoresError::io("read", folder))?;
            let passes = if metadata.uid() == self.uid {
                0o100
            } else if metadata.gid() == self.gid {
                0o010
            } else {
                0o001
            };
            if metadata.mode() & passes == 0 {
                return Err(StoresError::Closed {
                    folder: folder.to_owned(),
                    user: self.name.clone(),
                });
            }
        }
        Ok(())
    }
}

/// Takes `data/lock` and leaves our process id in it for whoever finds it taken.
fn lock(data: &Path) -> Result<File, StoresError> {
    let path = data.join("lock");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(StoresError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = fs::read_to_string(&path).unwrap_or_default();
            return Err(StoresError::Locked {
                data: data.to_owned(),
                holder: holder.trim().parse().ok(),
            });
        }
        Err(TryLockError::Error(source)) => return Err(StoresError::io("lock", &path)(source)),
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", process::id()))
        .map_err(StoresError::io("write", &path))?;
    Ok(file)
}

/// Whom to run the servers as: nobody else, unless we are root; then the owner of an existing cluster, or a known name.
fn account(postgres: &Path) -> Result<Option<Account>, StoresError> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let owner = fs::metadata(postgres).ok().filter(|owner| owner.uid() != 0);
    if let Some(owner) = owner {
        let user = User::from_uid(Uid::from_raw(owner.uid())).ok().flatten();
        return Ok(Some(Account {
            uid: owner.uid(),
            gid: owner.gid(),
            name: user.map_or_else(|| owner.uid().to_string(), |user| user.name),
        }));
    }
    let user = ACCOUNTS
        .into_iter()
        .find_map(|name| User::from_name(name).ok().flatten())
        .ok_or(StoresError::NoAccount)?;
    Ok(Some(Account {
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
        name: user.name,
    }))
}

/// `data/socket`, or a short folder under the temporary one, named after a hash of the data folder.
fn socket_folder(data: &Path) -> Result<PathBuf, StoresError> {
    let hash = Sha256::digest(data.as_os_str().as_encoded_bytes());
    let hash = HEXLOWER.encode(&hash[..8]);
    let short = env::temp_dir().join(format!("reserveflow-{hash}"));
    [data.join("socket"), short]
        .into_iter()
        .find(|folder| {
            let bytes = folder.to_str().map_or(usize::MAX, str::len);
            bytes.saturating_add(1 + SOCKET_NAME_MAX) <= SOCKET_PATH_MAX
        })
        .ok_or_else(|| StoresError::SocketPath {
            folder: data.to_owned(),
        })
}

/// The last folder is private at first, those above it have the usual mode.
fn create_dir_all(folder: &Path) -> Result<(), StoresError> {
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent).map_err(StoresError::io("create", parent))?;
    }
    match DirBuilder::new().mode(PRIVATE).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(StoresError::io("create", folder)(error))
        }
        _ => Ok(()),
    }
}

/// Creates `folder` with mode 0700, or checks that it is a real folder (in a shared temporary folder, a link could be
/// somebody's trap) and belongs to `owner`.
fn create_private(folder: &Path, owner: u32) -> Result<(), StoresError> {
    match DirBuilder::new().mode(PRIVATE).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(StoresError::io("create", folder)(error));
        }
        _ => {}
    }
    let metadata = fs::symlink_metadata(folder).map_err(StoresError::io("read", folder))?;
    if !metadata.is_dir() {
        let source = io::Error::from(io::ErrorKind::NotADirectory);
        return Err(StoresError::io("use", folder)(source));
    }
    if metadata.uid() != owner {
        return Err(StoresError::Foreign {
            folder: folder.to_owned(),
            owner: metadata.uid(),
        });
    }
    if metadata.mode() & 0o777 != PRIVATE {
        fs::set_permissions(folder, Permissions::from_mode(PRIVATE))
            .map_err(StoresError::io("close", folder))?;
    }
    Ok(())
}

/// Lets other users pass through the data folder, unless it holds anything but our lock: then it is left as it is.
fn open_if_new(data: &Path) -> Result<(), StoresError> {
    let mut entries = fs::read_dir(data).map_err(StoresError::io("list", data))?;
    if entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() != "lock")) {
        return Ok(());
    }
    let mode = fs::metadata(data)
        .map_err(StoresError::io("read", data))?
        .mode();
    fs::set_permissions(data, Permissions::from_mode(mode | PASSAGE))
        .map_err(StoresError::io("open", data))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn sockets_move_to_the_temporary_folder_at_the_first_byte_too_many() {
        let longest = SOCKET_PATH_MAX - "/socket/".len() - SOCKET_NAME_MAX;
        let fits = PathBuf::from("/".to_owned() + &"d".repeat(longest - 1));
        assert_eq!(socket_folder(&fits).unwrap(), fits.join("socket"));

        let long = PathBuf::from("/".to_owned() + &"d".repeat(longest));
        let moved = socket_folder(&long).unwrap();
        assert!(moved.starts_with(env::temp_dir()), "{}", moved.display());
        assert_ne!(moved, socket_folder(&long.join("other")).unwrap());
    }

    #[test]
    fn a_private_folder_is_closed_and_no_link() {
        let parent = tempfile::tempdir().unwrap();
        let us = geteuid().as_raw();
        let folder = parent.path().join("open");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        create_private(&folder, us).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, PRIVATE);

        let link = parent.path().join("link");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        assert!(matches!(
            create_private(&link, us),
            Err(StoresError::Io { .. })
        ));
        assert!(
            matches!(create_private(&folder, us + 1), Err(StoresError::Foreign { owner, .. }) if owner == us)
        );
    }
}
