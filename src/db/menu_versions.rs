//! Versions of the menu files, kept while a dialogue may still be in one.

use std::collections::BTreeMap;
use std::time::Duration;

use deadpool_postgres::GenericClient;

use super::{DbError, unknown};
use crate::menu::files::{Sources, Version};

/// Keeps these files, or that they are in use now.
///
/// # Errors
/// [`DbError`]
pub async fn save(client: &impl GenericClient, sources: &Sources) -> Result<(), DbError> {
    let statement = client
        .prepare_cached(
            "insert into menu_version (version, files) values ($1, $2)
             on conflict (version) do update set used_at = now()",
        )
        .await?;
    let files = serde_json::to_value(sources.files()).map_err(|e| DbError::Refused(e.into()))?;
    client
        .execute(&statement, &[&sources.version().as_str(), &files])
        .await?;
    Ok(())
}

/// The files of a version. `None`: it was never saved, or dropped since.
///
/// # Errors
/// [`DbError`]
pub async fn find(
    client: &impl GenericClient,
    version: &Version,
) -> Result<Option<Sources>, DbError> {
    let statement = client
        .prepare_cached("select files from menu_version where version = $1")
        .await?;
    let Some(row) = client.query_opt(&statement, &[&version.as_str()]).await? else {
        return Ok(None);
    };
    let files: BTreeMap<String, String> =
        serde_json::from_value(row.try_get("files")?).map_err(|_| unknown("files"))?;
    Ok(Some(Sources::kept(version, files)))
}

/// Keeps that these are in use now, as far as they are there.
///
/// # Errors
/// [`DbError`]
pub async fn touch(client: &impl GenericClient, versions: &[Version]) -> Result<(), DbError> {
    let statement = client
        .prepare_cached("update menu_version set used_at = now() where version = any($1)")
        .await?;
    let names: Vec<&str> = versions.iter().map(Version::as_str).collect();
    client.execute(&statement, &[&names]).await?;
    Ok(())
}

/// Drops what no instance has had in use for so long, and says how many that were.
///
/// # Errors
/// [`DbError`]
pub async fn drop_unused(
    client: &impl GenericClient,
    unused_for: Duration,
) -> Result<u64, DbError> {
    let statement = client
        .prepare_cached(
            "delete from menu_version where used_at < now() - make_interval(secs => $1)",
        )
        .await?;
    Ok(client
        .execute(&statement, &[&unused_for.as_secs_f64()])
        .await?)
}
