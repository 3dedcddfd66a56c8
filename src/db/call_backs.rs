//! Guests who asked to be called back.

use deadpool_postgres::GenericClient;

use super::DbError;
use super::effect::Turn;
use crate::phone::Msisdn;

/// Keeps a wish once per turn; `false` when this turn's was kept before. `screen` is where it was asked for.
///
/// # Errors
/// [`DbError`].
pub async fn insert_call_back(
    client: &impl GenericClient,
    turn: &Turn,
    msisdn: &Msisdn,
    language: &str,
    screen: &str,
) -> Result<bool, DbError> {
    let statement = client
        .prepare_cached(
            "insert into call_back (msisdn, language, screen, turn_door, turn_session, turn_position)
             values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
        )
        .await?;
    let inserted = client
        .execute(
            &statement,
            &[
                &msisdn.as_str(),
                &language,
                &screen,
                &turn.door,
                &turn.session,
                &turn.position,
            ],
        )
        .await?;
    Ok(inserted == 1)
}
