//! Holds that ran out.

use deadpool_postgres::GenericClient;

use super::DbError;

/// Ends up to `limit` holds whose time is over, gives their nights back, and returns how many. Several sweepers share
/// the work; what one has locked the others skip.
///
/// # Errors
/// [`DbError`]; nothing is half done.
pub async fn expire_holds(client: &impl GenericClient, limit: i32) -> Result<u64, DbError> {
    let statement = client
        .prepare_cached("select expire_holds($1) as expired")
        .await?;
    let row = client.query_one(&statement, &[&limit]).await?;
    Ok(row.try_get::<_, i64>("expired")?.unsigned_abs())
}
