//! Cold storage: a folder, or a bucket of anything that speaks S3. A file is there whole or not at all.

use std::collections::BTreeMap;
use std::path::Path as Folder;

use bytes::Bytes;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use secrecy::{ExposeSecret, SecretString};

const S3: &str = "s3://";

/// Where old months go.
pub struct ColdStore {
    store: Box<dyn ObjectStore>,
    folder: Path,
}

/// A place that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadStore {
    /// The folder is not there and cannot be made.
    #[error("the folder cannot be used")]
    Folder(#[from] std::io::Error),
    /// Not a setting of S3.
    #[error("{0:?} is not a setting of S3")]
    Setting(String),
    /// Anything else.
    #[error(transparent)]
    Store(#[from] object_store::Error),
}

impl ColdStore {
    /// A folder, which is made, or `s3://bucket/folder` with settings by the names of `object_store`, such as `region`,
    /// `endpoint`, `access_key_id` and `secret_access_key`. Nothing is asked of it yet.
    ///
    /// # Errors
    /// [`BadStore`]
    pub fn open(to: &str, s3: &BTreeMap<String, SecretString>) -> Result<ColdStore, BadStore> {
        let Some(place) = to.strip_prefix(S3) else {
            return ColdStore::folder(Folder::new(to));
        };
        let mut builder = AmazonS3Builder::new().with_url(to);
        for (name, value) in s3 {
            let key: AmazonS3ConfigKey = name
                .parse()
                .map_err(|_| BadStore::Setting(name.to_owned()))?;
            builder = builder.with_config(key, value.expose_secret());
        }
        let (_bucket, folder) = place.split_once('/').unwrap_or((place, ""));
        Ok(ColdStore {
            store: Box::new(builder.build()?),
            folder: Path::from(folder),
        })
    }

    fn folder(folder: &Folder) -> Result<ColdStore, BadStore> {
        std::fs::create_dir_all(folder)?;
        // What is dropped here must survive the machine there.
        let store = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
        Ok(ColdStore {
            store: Box::new(store),
            folder: Path::default(),
        })
    }

    /// Writes a file.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn put(&self, name: &str, bytes: Bytes) -> Result<(), object_store::Error> {
        self.store
            .put(&self.folder.clone().join(name), bytes.into())
            .await?;
        Ok(())
    }

    /// Reads a file.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn read(&self, name: &str) -> Result<Bytes, object_store::Error> {
        self.store
            .get(&self.folder.clone().join(name))
            .await?
            .bytes()
            .await
    }
}
