//! What a host types in secret: hashed with Argon2id, aside from the threads that answer calls.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::task::spawn_blocking;

use crate::db::DbError;
use crate::phone::Msisdn;

/// As a PHC string, with a salt of its own.
///
/// # Errors
/// [`DbError::Refused`] where the machine has no chance to give.
pub(super) async fn hash(secret: String) -> Result<String, DbError> {
    let hashed = spawn_blocking(move || {
        let hashed: Result<PasswordHash, _> = Argon2::default().hash_password(secret.as_bytes());
        hashed.map(|hash| hash.to_string())
    });
    match hashed.await {
        Ok(Ok(hash)) => Ok(hash),
        Ok(Err(error)) => Err(DbError::Refused(error.to_string().into())),
        Err(broken) => Err(DbError::Refused(broken.into())),
    }
}

/// Whether the hash is of this secret. Nothing is of no hash.
pub(super) async fn fits(secret: String, hash: Option<String>) -> bool {
    let Some(hash) = hash else {
        return false;
    };
    let fits = spawn_blocking(move || {
        PasswordHash::new(&hash).is_ok_and(|hash| {
            Argon2::default()
                .verify_password(secret.as_bytes(), &hash)
                .is_ok()
        })
    });
    fits.await.unwrap_or(false)
}

/// The fewest digits of a host's PIN: that of mobile money, which nobody should type here, has fewer.
const DIGITS_MIN: usize = 5;

/// Too short, or what others try first: one digit all along, digits in a row, a part of the host's own number.
pub(super) fn is_weak(pin: &str, msisdn: &Msisdn) -> bool {
    let steps = |step: i16| {
        let digits = pin.as_bytes().windows(2);
        digits
            .map(|pair| i16::from(pair[1]) - i16::from(pair[0]))
            .all(|by| by == step)
    };
    pin.len() < DIGITS_MIN || steps(0) || steps(1) || steps(-1) || msisdn.digits().contains(pin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried_first_is_weak() {
        let msisdn = Msisdn::parse("+254722000823").expect("is a number");
        for (pin, weak) in [
            ("9041", true),
            ("11111", true),
            ("12345", true),
            ("87654", true),
            ("00082", true),
            ("000823", true),
            ("90417", false),
            ("12346", false),
            ("00000001", false),
        ] {
            assert_eq!(is_weak(pin, &msisdn), weak, "{pin}");
        }
    }

    #[tokio::test]
    async fn a_secret_fits_its_own_hash_only() {
        let (one, other) = (
            hash("90417".to_owned()).await.expect("is hashed"),
            hash("90417".to_owned()).await.expect("is hashed"),
        );
        assert!(one.starts_with("$argon2id$"));
        assert_ne!(one, other);
        assert!(fits("90417".to_owned(), Some(one.clone())).await);
        assert!(!fits("90418".to_owned(), Some(one)).await);
        assert!(!fits("90417".to_owned(), Some("no hash".to_owned())).await);
        assert!(!fits("90417".to_owned(), None).await);
    }
}
