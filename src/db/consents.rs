//! What guests agreed to and took back: offers and reminders by SMS.

use deadpool_postgres::GenericClient;

use super::DbError;
use crate::menu::files::Version;
use crate::phone::Msisdn;

/// Messages that nobody needs who does not want them.
const UNNEEDED_KINDS: &[&str] = &["reminder", "offer"];

/// One change of mind.
#[derive(Debug, Clone, Copy)]
pub struct Consent<'a> {
    /// Whose.
    pub msisdn: &'a Msisdn,
    /// Agreed to, or taken back.
    pub given: bool,
    /// `sms:` and the provider.
    pub channel: &'a str,
    /// Of the texts that they read.
    pub text_version: &'a Version,
}

/// Keeps what they want from now on, with time, channel and text; what they want no more and is not sent yet is dropped.
/// `false`: it was so before, and only the change of mind is noted.
///
/// # Errors
/// [`DbError`]
pub async fn record(client: &impl GenericClient, consent: &Consent<'_>) -> Result<bool, DbError> {
    let msisdn = consent.msisdn.as_str();
    let statement = client
        .prepare_cached(
            "with noted as (
                 insert into consent (msisdn, given, channel, text_version) values ($1, $2, $3, $4)),
             dropped as (
                 update outbox set status = 'dropped', reason = 'opted out', due_at = 'infinity'
                 where not $2 and msisdn = $1 and status = 'pending' and kind = any($5))
             insert into guest (msisdn, opted_out_at) values ($1, case when $2 then null else now() end)
             on conflict (msisdn) do update set opted_out_at = excluded.opted_out_at
                 where (guest.opted_out_at is null) <> (excluded.opted_out_at is null)",
        )
        .await?;
    let changed = client
        .execute(
            &statement,
            &[
                &msisdn,
                &consent.given,
                &consent.channel,
                &consent.text_version.as_str(),
                &UNNEEDED_KINDS,
            ],
        )
        .await?;
    Ok(changed == 1)
}
