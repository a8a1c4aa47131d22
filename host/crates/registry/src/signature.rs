//! Signatures over components: Ed25519 over the digest, keys in PEM, and the list that travels with a component.
//!
//! What is signed is exactly 53 bytes: `stepwright plugin v1`, a line feed, and the 32 bytes of the component's SHA-256.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use stepwright_workflow::Digest;

/// What stands before the digest, so that a signature of a plugin is a signature of nothing else.
const PREFIX: &[u8] = b"stepwright plugin v1\n";

/// The bytes that are signed for a component.
pub fn message(digest: &Digest) -> Vec<u8> {
    [PREFIX, digest.as_bytes()].concat()
}

/// One signature of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// The id of the key that made it.
    pub key: String,
    /// 64 bytes, in base64.
    pub signature: String,
}

/// The most signatures of one component: authors, a reviewer, a build machine, and room.
pub const SIGNATURES_MAX: usize = 16;
/// The largest list of signatures, in bytes of JSON: four times what the most take.
pub const SIGNATURES_BYTES_MAX: u64 = 16 << 10;

/// A text that is no key or no list of signatures.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// Not a private key.
    #[error("it is no Ed25519 private key in PKCS#8 PEM ('-----BEGIN PRIVATE KEY-----'): {0}")]
    Private(String),
    /// Not a public key.
    #[error("it is no Ed25519 public key in PEM ('-----BEGIN PUBLIC KEY-----'): {0}")]
    Public(String),
    /// Not a list of signatures.
    #[error("it is no list of signatures, such as [{{\"key\": \"…\", \"signature\": \"…\"}}]: {0}")]
    Signatures(String),
}

/// Reads a list of signatures, as `plugin sign` writes it.
pub fn read_signatures(text: &str) -> Result<Vec<Signature>, BadKey> {
    let bad = |why: String| BadKey::Signatures(why);
    if text.len() as u64 > SIGNATURES_BYTES_MAX {
        return Err(bad(format!("{} bytes long, at most {SIGNATURES_BYTES_MAX} are read", text.len())));
    }
    let read: Vec<Signature> = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
    if read.len() > SIGNATURES_MAX {
        return Err(bad(format!("{} of them, at most {SIGNATURES_MAX} are read", read.len())));
    }
    Ok(read)
}

/// Two lists as one: the newer signature of a key takes the place of the older one.
pub fn merged(older: &[Signature], newer: &[Signature]) -> Vec<Signature> {
    let kept = older.iter().filter(|old| !newer.iter().any(|new| new.key == old.key));
    kept.chain(newer).cloned().collect()
}

/// A key that signs. Its bytes are wiped when it is dropped.
pub struct PrivateKey(SigningKey);

impl PrivateKey {
    /// A key from 32 random bytes.
    pub fn from_random(bytes: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(bytes))
    }

    /// Reads PKCS#8 PEM.
    pub fn from_pem(text: &str) -> Result<Self, BadKey> {
        SigningKey::from_pkcs8_pem(text).map(Self).map_err(|error| BadKey::Private(error.to_string()))
    }

    /// Writes PKCS#8 PEM.
    pub fn to_pem(&self) -> Result<String, BadKey> {
        let pem = self.0.to_pkcs8_pem(LineEnding::LF);
        pem.map(|pem| pem.to_string()).map_err(|error| BadKey::Private(error.to_string()))
    }

    /// The key that others verify with.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs a component.
    pub fn sign(&self, digest: &Digest) -> Signature {
        let signature = self.0.sign(&message(digest));
        Signature { key: self.public().id(), signature: STANDARD.encode(signature.to_bytes()) }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.public().id())
    }
}

/// A key that verifies.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads SPKI PEM.
    pub fn from_pem(text: &str) -> Result<Self, BadKey> {
        VerifyingKey::from_public_key_pem(text).map(Self).map_err(|error| BadKey::Public(error.to_string()))
    }

    /// Writes SPKI PEM.
    pub fn to_pem(&self) -> Result<String, BadKey> {
        self.0.to_public_key_pem(LineEnding::LF).map_err(|error| BadKey::Public(error.to_string()))
    }

    /// The first 16 hexadecimal digits of the SHA-256 of its 32 bytes: a name for people and for lookups, which nothing rests on.
    pub fn id(&self) -> String {
        Digest::of(self.0.as_bytes()).hex()[..16].to_owned()
    }

    /// Whether this key made this signature for this component. Strict: weak keys and malleable signatures do not pass.
    pub fn verifies(&self, digest: &Digest, signature: &Signature) -> bool {
        let bytes = STANDARD.decode(&signature.signature).unwrap_or_default();
        let Ok(parsed) = ed25519_dalek::Signature::from_slice(&bytes) else { return false };
        self.0.verify_strict(&message(digest), &parsed).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_good_for_one_key_and_one_component() {
        let (key, other) = (PrivateKey::from_random(&[7; 32]), PrivateKey::from_random(&[8; 32]));
        let digest = Digest::of(b"component");
        let signature = key.sign(&digest);
        assert!(key.public().verifies(&digest, &signature));
        assert!(!other.public().verifies(&digest, &signature));
        assert!(!key.public().verifies(&Digest::of(b"another"), &signature));
        for broken in ["", "AAAA", "not base64", &STANDARD.encode([1; 64])] {
            let signature = Signature { signature: broken.to_owned(), ..signature.clone() };
            assert!(!key.public().verifies(&digest, &signature), "{broken}");
        }
        assert_eq!(message(&digest).len(), 53);
        assert_eq!(signature.key, key.public().id());
        assert_eq!(signature.key.len(), 16);
    }

    #[test]
    fn keys_read_back_as_pem_and_nothing_else_does() {
        let key = PrivateKey::from_random(&[7; 32]);
        let (private, public) = (key.to_pem().unwrap(), key.public().to_pem().unwrap());
        assert_eq!(PrivateKey::from_pem(&private).unwrap().public(), key.public());
        assert_eq!(PublicKey::from_pem(&public).unwrap(), key.public());
        assert!(!format!("{key:?}").contains(&private[30..50]));
        for (text, expect) in [(public.as_str(), "BEGIN PRIVATE KEY"), ("", "PKCS#8")] {
            let error = PrivateKey::from_pem(text).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        }
        let error = PublicKey::from_pem(&private).unwrap_err().to_string();
        assert!(error.contains("BEGIN PUBLIC KEY"), "{error}");
    }

    /// RFC 8032, section 7.1, test 1: the key is what the format says, so other tools can make and check signatures.
    #[test]
    fn a_key_of_the_standard_has_its_public_half() {
        let secret = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let bytes: Vec<u8> =
            (0..32).map(|at| u8::from_str_radix(&secret[at * 2..at * 2 + 2], 16).unwrap()).collect();
        let key = PrivateKey::from_random(bytes.as_slice().try_into().unwrap());
        assert_eq!(key.public().0.as_bytes()[..4], [0xd7, 0x5a, 0x98, 0x01]);
    }

    #[test]
    fn lists_are_bounded_and_merged_by_key() {
        let signature = |key: &str, text: &str| Signature { key: key.to_owned(), signature: text.to_owned() };
        let older = [signature("a", "1"), signature("b", "1")];
        let newer = [signature("b", "2"), signature("c", "2")];
        let both = merged(&older, &newer);
        assert_eq!(both, [signature("a", "1"), signature("b", "2"), signature("c", "2")]);
        assert_eq!(read_signatures(&serde_json::to_string(&both).unwrap()).unwrap(), both);
        let many = serde_json::to_string(&vec![signature("a", "1"); 17]).unwrap();
        for (text, expect) in [
            ("{}", "no list of signatures"),
            ("[{\"key\":\"a\"}]", "missing field `signature`"),
            (many.as_str(), "17 of them"),
            (" ".repeat(20_000).as_str(), "20000 bytes"),
        ] {
            let error = read_signatures(text).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        }
    }
}
