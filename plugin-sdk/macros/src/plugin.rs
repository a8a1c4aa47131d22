//! `plugin!`: the list of a crate's handlers and the component's exports.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, Ident, LitStr, Path, Result, Token, braced, bracketed};

use crate::names::check_plugin_name;

/// Translates one `plugin! { .. }`.
pub(crate) fn expand(input: TokenStream) -> Result<TokenStream> {
    let fields: Fields = syn::parse2(input)?;
    let name = required(fields.name.as_ref(), "name: \"namespace/name\"")?;
    check_plugin_name(&name.value()).map_err(|message| Error::new(name.span(), message))?;
    let summary = required(fields.summary.as_ref(), "summary: \"one line\"")?;
    let handlers = required(fields.handlers.as_ref(), "handlers: [a_handler, another]")?;
    let version = fields
        .version
        .as_ref()
        .map_or_else(|| quote!(::core::env!("CARGO_PKG_VERSION")), |version| quote!(#version));
    Ok(render(name, summary, &version, &fields.wishes.unwrap_or_default(), handlers))
}

#[derive(Default)]
struct Fields {
    name: Option<LitStr>,
    summary: Option<LitStr>,
    version: Option<Expr>,
    wishes: Option<Wishes>,
    handlers: Option<List<Path>>,
}

type List<T> = Punctuated<T, Token![,]>;

impl Parse for Fields {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut fields = Self::default();
        each_field(input, |key, value| match key.to_string().as_str() {
            "name" => once(&mut fields.name, key, value.parse()?),
            "summary" => once(&mut fields.summary, key, value.parse()?),
            "version" => once(&mut fields.version, key, value.parse()?),
            "wishes" => once(&mut fields.wishes, key, value.parse()?),
            "handlers" => once(&mut fields.handlers, key, list(value)?),
            _ => Err(unknown(key, "`name`, `version`, `summary`, `wishes` or `handlers`")),
        })?;
        Ok(fields)
    }
}

/// What the plugin would like to be granted.
#[derive(Default)]
struct Wishes {
    hosts: Option<List<Expr>>,
    directories: Option<List<Expr>>,
    environment: Option<List<Expr>>,
    secrets: Option<List<Expr>>,
}

impl Parse for Wishes {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let content;
        braced!(content in input);
        let mut wishes = Self::default();
        each_field(&content, |key, value| match key.to_string().as_str() {
            "hosts" => once(&mut wishes.hosts, key, list(value)?),
            "directories" => once(&mut wishes.directories, key, list(value)?),
            "environment" => once(&mut wishes.environment, key, list(value)?),
            "secrets" => once(&mut wishes.secrets, key, list(value)?),
            _ => Err(unknown(key, "`hosts`, `directories`, `environment` or `secrets`")),
        })?;
        Ok(wishes)
    }
}

/// Reads `key: value, key: value,` and hands each key, with the input at its value, to `read`.
fn each_field(
    input: ParseStream<'_>,
    mut read: impl FnMut(&Ident, ParseStream<'_>) -> Result<()>,
) -> Result<()> {
    while !input.is_empty() {
        let key: Ident = input.parse()?;
        input.parse::<Token![:]>()?;
        read(&key, input)?;
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
    }
    Ok(())
}

fn once<T>(slot: &mut Option<T>, key: &Ident, value: T) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::new(key.span(), format!("`{key}` stands here twice"))),
    }
}

fn list<T: Parse>(input: ParseStream<'_>) -> Result<List<T>> {
    let content;
    bracketed!(content in input);
    Punctuated::parse_terminated(&content)
}

fn unknown(key: &Ident, known: &str) -> Error {
    Error::new(key.span(), format!("unknown field `{key}`: {known}"))
}

fn required<'a, T>(field: Option<&'a T>, example: &str) -> Result<&'a T> {
    field.ok_or_else(|| Error::new(proc_macro2::Span::call_site(), format!("a plugin needs `{example}`")))
}

fn render(
    name: &LitStr,
    summary: &LitStr,
    version: &TokenStream,
    wishes: &Wishes,
    handlers: &List<Path>,
) -> TokenStream {
    let handlers = handlers.iter();
    let [hosts, directories, environment, secrets] =
        [&wishes.hosts, &wishes.directories, &wishes.environment, &wishes.secrets]
            .map(|wish| wish.iter().flatten().collect::<Vec<_>>());
    quote! {
        /// This crate's plugin, for `stepwright_sdk::testing`.
        #[derive(Debug, Clone, Copy)]
        #[allow(unreachable_pub, dead_code)]
        pub struct Plugin;

        #[automatically_derived]
        impl ::stepwright_sdk::PluginDefinition for Plugin {
            const NAME: &'static str = #name;
            const VERSION: &'static str = #version;
            const SUMMARY: &'static str = #summary;
            const WISHES: ::stepwright_sdk::Wishes = ::stepwright_sdk::Wishes {
                hosts: &[#(#hosts),*],
                directories: &[#(#directories),*],
                environment: &[#(#environment),*],
                secrets: &[#(#secrets),*],
            };
            const HANDLERS: &'static [::stepwright_sdk::HandlerEntry] =
                &[#(::stepwright_sdk::HandlerEntry::of::<#handlers>()),*];
        }

        const _: () = ::stepwright_sdk::__private::names_are_unique(
            <Plugin as ::stepwright_sdk::PluginDefinition>::HANDLERS,
        );

        #[cfg(target_family = "wasm")]
        ::stepwright_sdk::__bindings::export!(Plugin);
    }
}

#[cfg(test)]
mod tests {
    use super::expand;
    use quote::quote;

    fn check(input: proc_macro2::TokenStream, expect: &str) {
        let got = match expand(input) {
            Ok(tokens) => tokens.to_string(),
            Err(error) => error.to_string(),
        };
        assert!(got.contains(expect), "{got}");
    }

    #[test]
    fn the_fields_stand_in_any_order() {
        check(quote!(handlers: [a, b::c], summary: "s", name: "x/y"), "of :: < b :: c >");
        check(quote!(name: "x/y", summary: "s", handlers: []), "env ! (\"CARGO_PKG_VERSION\")");
        check(quote!(name: "x/y", version: "1.2.3", summary: "s", handlers: []), "\"1.2.3\"");
        let wishes = quote!(name: "x/y", summary: "s", wishes: { secrets: ["key"] }, handlers: [a],);
        check(wishes, "secrets : & [\"key\"]");
    }

    #[test]
    fn mistakes_are_named() {
        check(quote!(name: "x/y", summary: "s"), "a plugin needs `handlers");
        check(quote!(name: "shop", summary: "s", handlers: []), "cannot name a plugin");
        check(quote!(nam: "x/y"), "unknown field `nam`");
        check(quote!(name: "x/y", name: "x/y"), "stands here twice");
        check(quote!(wishes: { host: [] }), "unknown field `host`");
    }
}
