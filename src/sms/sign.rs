//! Signatures of webhooks, compared in constant time.

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq;

use super::fields::parse_hex;

/// A keyed hash that providers sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the word says it")]
pub enum Algorithm {
    Md5,
    Sha1,
    Sha256,
    Sha512,
}

/// HMAC of `data`.
pub fn hmac(algorithm: Algorithm, key: &[u8], data: &[u8]) -> Vec<u8> {
    macro_rules! mac {
        ($hash:ty) => {{
            // HMAC takes a key of any length.
            let Ok(mut mac) = Hmac::<$hash>::new_from_slice(key) else {
                return Vec::new();
            };
            mac.update(data);
            mac.finalize().into_bytes().to_vec()
        }};
    }
    match algorithm {
        Algorithm::Md5 => mac!(Md5),
        Algorithm::Sha1 => mac!(Sha1),
        Algorithm::Sha256 => mac!(Sha256),
        Algorithm::Sha512 => mac!(Sha512),
    }
}

/// MD5 of `data`.
pub fn md5(data: &[u8]) -> Vec<u8> {
    Md5::digest(data).to_vec()
}

/// SHA-256 of `data`.
pub fn sha256(data: &[u8]) -> Vec<u8> {
    Sha256::digest(data).to_vec()
}

/// Whether `given`, in hexadecimal of either case, is this signature.
pub fn is_hex_of(given: &str, signature: &[u8]) -> bool {
    parse_hex(given.as_bytes()).is_some_and(|octets| is_same(&octets, signature))
}

/// Whether two signatures are the same; an empty one is none.
pub fn is_same(given: &[u8], signature: &[u8]) -> bool {
    !signature.is_empty() && bool::from(given.ct_eq(signature))
}
