//! Plugin packages: their names, what they say of themselves, where their components are kept by digest, how they travel
//! through OCI registries, who signed them, and whom we trust.
//!
//! This crate knows neither tasks nor the transport, and it never runs a component.

pub mod blobs;
pub mod description;
pub mod folder;
pub mod name;
pub mod oci;
pub mod private;
pub mod signature;
pub mod trust;

pub use blobs::{Blob, BlobError, Blobs, ObjectsError};
pub use description::{Description, HandlerDescription, ParentDescription, Problem, Wishes};
pub use folder::{FolderError, PluginFolder};
pub use name::{BadName, BadReference, PluginName, PluginReference};
pub use private::{PrivateFile, PrivateFolder};
pub use signature::{PrivateKey, PublicKey, Signature};
pub use trust::{Policy, TrustPolicy, TrustRule, Verdict};
