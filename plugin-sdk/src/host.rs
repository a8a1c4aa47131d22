//! What the host does for a running handler. Two implementations: the component's imports and the recorder of tests.

use std::fmt;

use crate::log::Level;

/// The host's side of a [`Context`](crate::Context).
pub(crate) trait Host {
    fn log(&self, level: Level, message: &str, fields: &[(&str, String)]);
    fn progress(&self, fraction: f64, note: &str);
    fn cancelled(&self) -> bool;
    fn secret(&self, name: &str) -> Option<String>;
    /// In a component the call goes past this trait: what is behind it would be imported by every plugin.
    #[cfg(not(target_family = "wasm"))]
    fn http(&self, sent: &crate::http::Sent) -> Result<crate::http::Response, crate::http::Problem>;
}

/// The value of a granted secret. It does not print itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub(crate) String);

impl Secret {
    /// The value, to hand to whatever needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
