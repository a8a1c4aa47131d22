//! Plugin packages: their names, what they say of themselves, and the folder that holds their components by digest.
//!
//! This crate knows neither tasks nor the transport, and it never runs a component.

pub mod description;
pub mod folder;
pub mod name;
pub mod private;

pub use description::{Description, HandlerDescription, ParentDescription, Problem, Wishes};
pub use folder::{FolderError, PluginFolder};
pub use name::{BadName, BadReference, PluginName, PluginReference};
pub use private::PrivateFolder;
