//! The macros of `stepwright-sdk`. They only translate syntax: every rule about payloads, errors and
//! the host lives in the SDK, which documents and re-exports both macros.

use proc_macro::TokenStream;

mod handler;
mod names;
mod plugin;

/// Makes a function a handler. See `stepwright_sdk::handler`.
#[proc_macro_attribute]
pub fn handler(options: TokenStream, item: TokenStream) -> TokenStream {
    handler::expand(options.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes the crate a plugin. See `stepwright_sdk::plugin`.
#[proc_macro]
pub fn plugin(input: TokenStream) -> TokenStream {
    plugin::expand(input.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
