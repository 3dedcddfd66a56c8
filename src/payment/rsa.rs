//! Sealing a secret for a provider: RSA with PKCS #1 v1.5 padding under the provider's public key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rsa::pkcs8::DecodePublicKey;
use rsa::{Pkcs1v15Encrypt, PublicKey};

/// `secret` sealed, in base64. `key` is the base64 of a DER `SubjectPublicKeyInfo`, with or without PEM armour.
/// `None`: not such a key, or a secret too long for it.
pub fn seal(key: &str, secret: &[u8]) -> Option<String> {
    let encoded: String = key
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .flat_map(str::split_whitespace)
        .collect();
    let der = STANDARD.decode(encoded).ok()?;
    let key = PublicKey::from_public_key_der(&der).ok()?;
    let sealed = key
        .encrypt(&mut rand::rng(), Pkcs1v15Encrypt, secret)
        .ok()?;
    Some(STANDARD.encode(sealed))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use rsa::PrivateKey;
    use rsa::pkcs8::{EncodePublicKey, LineEnding};

    use super::*;

    #[test]
    fn the_owner_of_the_key_reads_it_and_nothing_else_is_taken_for_a_key() {
        let owner = PrivateKey::new(&mut rand::rng(), 1024).unwrap();
        let pem = PublicKey::from(&owner)
            .to_public_key_pem(LineEnding::LF)
            .unwrap();
        let sealed = STANDARD.decode(seal(&pem, b"hush").unwrap()).unwrap();
        assert_eq!(owner.decrypt(Pkcs1v15Encrypt, &sealed).unwrap(), b"hush");
        assert_eq!(seal(&pem, &[0; 200]), None);
        assert_eq!(seal("bm8gIGtleQ==", b"hush"), None);
        assert_eq!(seal("?", b"hush"), None);
    }
}
