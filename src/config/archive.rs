//! Where months of the calendar go that are over for long.

use std::collections::BTreeMap;
use std::path::Path;

use secrecy::SecretString;
use serde::Deserialize;

use crate::archive::{BadStore, ColdStore, KEEP_MONTHS};

/// What goes, and where to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ArchiveConfig {
    /// How many months stay after they are over, 1 to 120. Default 12.
    pub keep_months: u32,
    /// A folder, or `s3://bucket/folder`. Default: `archive` in `data`; without either every month stays.
    pub to: Option<String>,
    /// Of the bucket: `region`, `endpoint`, `access_key_id`, `secret_access_key` and whatever else `object_store` knows.
    pub s3: BTreeMap<String, SecretString>,
}

impl Default for ArchiveConfig {
    fn default() -> Self {
        ArchiveConfig {
            keep_months: KEEP_MONTHS,
            to: None,
            s3: BTreeMap::new(),
        }
    }
}

impl ArchiveConfig {
    /// Cold storage; `data` is the folder of the service. `None`: there is none, and every month stays.
    ///
    /// # Errors
    /// [`BadStore`]
    pub fn store(&self, data: Option<&Path>) -> Result<Option<ColdStore>, BadStore> {
        let in_data = || data.map(|data| data.join("archive").to_string_lossy().into_owned());
        let to = self.to.clone().or_else(in_data);
        to.map(|to| ColdStore::open(&to, &self.s3)).transpose()
    }

    pub(super) fn unsound(&self) -> Option<(&'static str, &'static str)> {
        if !(1..=120).contains(&self.keep_months) {
            return Some(("archive.keep_months", "is between 1 and 120"));
        }
        let is_bucket = self.to.as_ref().is_some_and(|to| to.starts_with("s3://"));
        if !self.s3.is_empty() && !is_bucket {
            return Some(("archive.s3", "is of a bucket: `to` is none"));
        }
        None
    }
}
