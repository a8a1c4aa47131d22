//! Whose signatures a component needs before it may be registered or run, by the namespace of its plugin.

use std::fmt;
use std::str::FromStr;

use stepwright_workflow::Digest;

use crate::name::PluginName;
use crate::signature::{PublicKey, Signature};

/// What becomes of a component that nobody trusted has signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Nobody looks.
    Off,
    /// It is used, and a warning says so.
    Warn,
    /// It is refused.
    Require,
}

impl Policy {
    /// Every policy, as it is written.
    pub const WORDS: [&'static str; 3] = ["off", "warn", "require"];
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "warn" => Ok(Self::Warn),
            "require" => Ok(Self::Require),
            other => Err(format!("'{other}' is not one of {}", Self::WORDS.join(", "))),
        }
    }
}

/// Whom one namespace trusts, or every namespace that has no rule of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustRule {
    /// The namespace; `None` for all others.
    pub namespace: Option<String>,
    /// What becomes of a component without a trusted signature.
    pub policy: Policy,
    /// The keys that are trusted.
    pub keys: Vec<PublicKey>,
}

/// Whom we trust.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustPolicy {
    rules: Vec<TrustRule>,
}

/// A component that may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Its namespace asks for no signature.
    NotAsked,
    /// A trusted key has signed it.
    Trusted {
        /// The key's id.
        key: String,
    },
    /// No trusted key has signed it, and a warning is all that its namespace wants.
    Unsigned {
        /// The warning.
        warning: String,
    },
}

/// A component that may not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{plugin} is not signed by anybody whom the namespace '{namespace}' trusts: {}", .reason)]
pub struct Refused {
    /// The plugin.
    pub plugin: String,
    /// Its namespace.
    pub namespace: String,
    reason: Reason,
}

/// What was wanted, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reason {
    trusted: Vec<String>,
    signed: Vec<String>,
    broken: Vec<String>,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |keys: &[String]| if keys.is_empty() { "none".to_owned() } else { keys.join(", ") };
        write!(
            f,
            "trusted keys are {}, signatures are there of {}",
            named(&self.trusted),
            named(&self.signed)
        )?;
        if !self.broken.is_empty() {
            write!(f, ", and of {} for other bytes than these", named(&self.broken))?;
        }
        write!(
            f,
            "; sign it with 'stepwright plugin sign FILE --key KEY' and a trusted key, or add the signer's public key to its [[trust]] rule"
        )
    }
}

impl TrustPolicy {
    /// The rules, of which a namespace's own one comes before the one for all others.
    pub fn new(rules: Vec<TrustRule>) -> Self {
        Self { rules }
    }

    /// Whether no rule asks for anything.
    pub fn is_off(&self) -> bool {
        self.rules.iter().all(|rule| rule.policy == Policy::Off)
    }

    fn rule(&self, namespace: &str) -> Option<&TrustRule> {
        let own = self.rules.iter().find(|rule| rule.namespace.as_deref() == Some(namespace));
        own.or_else(|| self.rules.iter().find(|rule| rule.namespace.is_none()))
    }

    /// Whether a plugin's component may be used. The name is the one that it is registered under, whatever the component says.
    pub fn check(
        &self,
        name: &PluginName,
        digest: &Digest,
        signatures: &[Signature],
    ) -> Result<Verdict, Refused> {
        let Some(rule) = self.rule(name.namespace()).filter(|rule| rule.policy != Policy::Off) else {
            return Ok(Verdict::NotAsked);
        };
        // A signature's key id is only what it claims; the bytes decide.
        let signer = rule.keys.iter().find(|key| signatures.iter().any(|one| key.verifies(digest, one)));
        if let Some(key) = signer {
            return Ok(Verdict::Trusted { key: key.id() });
        }
        let trusted: Vec<String> = rule.keys.iter().map(PublicKey::id).collect();
        let claimed = signatures.iter().map(|signature| printable(&signature.key));
        let (broken, signed) = claimed.partition(|key| trusted.contains(key));
        let refused = Refused {
            plugin: name.to_string(),
            namespace: name.namespace().to_owned(),
            reason: Reason { trusted, signed, broken },
        };
        match rule.policy {
            Policy::Require => Err(refused),
            Policy::Warn | Policy::Off => Ok(Verdict::Unsigned { warning: refused.to_string() }),
        }
    }
}

/// What a stranger wrote, as far as a message can bear it.
fn printable(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::PrivateKey;

    fn key(byte: u8) -> PrivateKey {
        PrivateKey::from_random(&[byte; 32])
    }

    fn rule(namespace: Option<&str>, policy: Policy, keys: &[u8]) -> TrustRule {
        let keys = keys.iter().map(|byte| key(*byte).public()).collect();
        TrustRule { namespace: namespace.map(str::to_owned), policy, keys }
    }

    fn check(name: &str, signers: &[u8]) -> Result<Verdict, Refused> {
        let trust = TrustPolicy::new(vec![
            rule(None, Policy::Warn, &[9]),
            rule(Some("shop"), Policy::Require, &[1, 2]),
            rule(Some("lab"), Policy::Off, &[]),
        ]);
        let digest = Digest::of(b"component");
        let signatures: Vec<Signature> = signers.iter().map(|byte| key(*byte).sign(&digest)).collect();
        trust.check(&name.parse().unwrap(), &digest, &signatures)
    }

    #[test]
    fn a_namespaces_own_rule_comes_first() {
        let trusted = |byte: u8| Ok(Verdict::Trusted { key: key(byte).public().id() });
        assert_eq!(check("shop/pay", &[2]), trusted(2));
        assert_eq!(check("shop/pay", &[3, 1]), trusted(1));
        assert!(check("shop/pay", &[9]).is_err(), "the rule for all others does not help");
        assert_eq!(check("other/pay", &[9]), trusted(9));
        assert!(matches!(check("other/pay", &[]), Ok(Verdict::Unsigned { .. })));
        assert_eq!(check("lab/pay", &[]), Ok(Verdict::NotAsked));
        let nothing = TrustPolicy::default();
        assert!(nothing.is_off());
        let digest = Digest::of(b"x");
        assert_eq!(nothing.check(&"a/b".parse().unwrap(), &digest, &[]), Ok(Verdict::NotAsked));
    }

    #[test]
    fn a_refusal_says_whom_we_trust_who_signed_and_what_to_do() {
        let refused = check("shop/pay", &[3]).unwrap_err().to_string();
        for expect in [
            "shop/pay is not signed by anybody whom the namespace 'shop' trusts",
            &format!("trusted keys are {}, {}", key(1).public().id(), key(2).public().id()),
            &format!("signatures are there of {};", key(3).public().id()),
            "stepwright plugin sign FILE --key KEY",
        ] {
            assert!(refused.contains(expect), "{refused}");
        }
        assert!(check("shop/pay", &[]).unwrap_err().to_string().contains("signatures are there of none"));
    }

    #[test]
    fn a_trusted_keys_signature_of_other_bytes_is_told_apart() {
        let trust = TrustPolicy::new(vec![rule(None, Policy::Require, &[1])]);
        let signature = key(1).sign(&Digest::of(b"yesterday"));
        let refused = trust.check(&"a/b".parse().unwrap(), &Digest::of(b"today"), &[signature]).unwrap_err();
        assert!(refused.to_string().contains("for other bytes than these"), "{refused}");
        // A claimed key id proves nothing.
        let forged = Signature { key: key(1).public().id(), ..key(3).sign(&Digest::of(b"today")) };
        assert!(trust.check(&"a/b".parse().unwrap(), &Digest::of(b"today"), &[forged]).is_err());
    }
}
