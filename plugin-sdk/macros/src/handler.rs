//! `#[handler]`: beside the function it puts an empty type of the same name (types and functions have
//! separate namespaces) that implements `Handler`, so that `plugin!` can list handlers by path.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{
    Attribute, Error, Expr, FnArg, Ident, ItemFn, Lit, LitStr, Meta, Result, ReturnType, Token, Type,
    parenthesized,
};

use crate::names::check_handler_name;

/// Translates the attribute on one function.
pub(crate) fn expand(options: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let options: Options = syn::parse2(options)?;
    let function: ItemFn = syn::parse2(item)?;
    let shape = Shape::of(&function)?;
    let name = options.name(&function.sig.ident)?;
    let summary = summary(&function.attrs);
    Ok(render(&function, &shape, (&name, &summary), &options))
}

/// What stands in the brackets: `#[handler(name = "..", config = Type, parents(step: Type))]`.
#[derive(Default)]
struct Options {
    name: Option<LitStr>,
    config: Option<Type>,
    parents: Vec<Parent>,
}

/// A parent that the handler reads, and as what.
struct Parent {
    step: Ident,
    ty: Type,
}

impl Parse for Parent {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let step = input.parse()?;
        input.parse::<Token![:]>()?;
        Ok(Self { step, ty: input.parse()? })
    }
}

impl Parent {
    /// Whether the type is written as an `Option`.
    fn is_optional(&self) -> bool {
        let Type::Path(path) = &self.ty else { return false };
        path.path.segments.last().is_some_and(|last| last.ident == "Option")
    }
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut options = Self::default();
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            match key.to_string().as_str() {
                "name" => options.name = Some(value(input)?),
                "config" => options.config = Some(value(input)?),
                "parents" => options.parents = parents(input)?,
                other => {
                    return Err(Error::new(
                        key.span(),
                        format!("unknown option `{other}`: `name`, `config` or `parents`"),
                    ));
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(options)
    }
}

fn value<T: Parse>(input: ParseStream<'_>) -> Result<T> {
    input.parse::<Token![=]>()?;
    input.parse()
}

fn parents(input: ParseStream<'_>) -> Result<Vec<Parent>> {
    let content;
    parenthesized!(content in input);
    let parents: Vec<Parent> =
        Punctuated::<Parent, Token![,]>::parse_terminated(&content)?.into_iter().collect();
    for (position, parent) in parents.iter().enumerate() {
        if parents[..position].iter().any(|earlier| earlier.step == parent.step) {
            return Err(Error::new(parent.step.span(), format!("`{}` stands here twice", parent.step)));
        }
    }
    Ok(parents)
}

impl Options {
    fn name(&self, function: &Ident) -> Result<String> {
        let (name, span) = match &self.name {
            Some(literal) => (literal.value(), literal.span()),
            None => (function.to_string(), function.span()),
        };
        check_handler_name(&name).map_err(|message| Error::new(span, message))?;
        Ok(name)
    }
}

/// Which of the two possible arguments the function takes, and what it returns.
struct Shape {
    input: Option<Type>,
    takes_context: bool,
    returns: Type,
}

const SIGNATURE: &str = "a handler is `fn name(input: Input, ctx: &Context) -> StepResult<Output>`; \
                         the input, the context or both may be left out";

impl Shape {
    fn of(function: &ItemFn) -> Result<Self> {
        let signature = &function.sig;
        refuse(signature.asyncness.as_ref(), "a handler is an ordinary function, not an `async` one")?;
        refuse(signature.generics.params.first(), "a handler has no generic parameters")?;
        let ReturnType::Type(_, returns) = &signature.output else {
            return Err(Error::new_spanned(signature, SIGNATURE));
        };
        let mut arguments = signature.inputs.iter().map(argument_type).collect::<Result<Vec<_>>>()?;
        let takes_context = arguments.pop_if(|last| matches!(last, Type::Reference(_))).is_some();
        let input = arguments.pop();
        if !arguments.is_empty() || matches!(input, Some(Type::Reference(_))) {
            return Err(Error::new_spanned(&signature.inputs, SIGNATURE));
        }
        Ok(Self { input, takes_context, returns: (**returns).clone() })
    }
}

fn refuse(found: Option<impl quote::ToTokens>, message: &str) -> Result<()> {
    found.map_or(Ok(()), |tokens| Err(Error::new_spanned(tokens, message)))
}

fn argument_type(argument: &FnArg) -> Result<Type> {
    match argument {
        FnArg::Typed(typed) => Ok((*typed.ty).clone()),
        FnArg::Receiver(_) => Err(Error::new_spanned(argument, "a handler is a free function, not a method")),
    }
}

fn render(function: &ItemFn, shape: &Shape, (name, summary): (&str, &str), options: &Options) -> TokenStream {
    let (ident, vis, returns) = (&function.sig.ident, &function.vis, &shape.returns);
    let read_input = shape
        .input
        .as_ref()
        .map(|ty| quote!(let input: #ty = ::stepwright_sdk::__private::StepInput::read(context)?;));
    let call = match (&shape.input, shape.takes_context) {
        (Some(_), true) => quote!(#ident(input, context)),
        (Some(_), false) => quote!(#ident(input)),
        (None, true) => quote!(#ident(context)),
        (None, false) => quote!(#ident()),
    };
    let input_schema = match &shape.input {
        Some(ty) => quote!(<#ty as ::stepwright_sdk::__private::StepInput>::schema()),
        None => quote!(::core::option::Option::None),
    };
    let parents = options.parents.iter().map(|parent| {
        let (step, ty, optional) = (parent.step.to_string(), &parent.ty, parent.is_optional());
        quote!(::stepwright_sdk::__private::parent::<#ty>(#step, #optional))
    });
    let config_schema = match &options.config {
        Some(ty) => quote!(::stepwright_sdk::__private::config_schema::<#ty>()),
        None => quote!(::core::option::Option::None),
    };
    quote! {
        #[allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps)]
        #function

        #[doc(hidden)]
        #[allow(non_camel_case_types, unreachable_pub)]
        #vis enum #ident {}

        #[automatically_derived]
        impl ::stepwright_sdk::Handler for #ident {
            const NAME: &'static str = #name;
            const SUMMARY: &'static str = #summary;

            fn call(
                context: &::stepwright_sdk::Context,
            ) -> ::core::result::Result<::std::string::String, ::stepwright_sdk::StepError> {
                #read_input
                ::stepwright_sdk::__private::finish(#call)
            }

            fn schemas() -> ::stepwright_sdk::Schemas {
                ::stepwright_sdk::Schemas {
                    input: #input_schema,
                    config: #config_schema,
                    output: ::stepwright_sdk::__private::output_schema::<#returns>(),
                    parents: ::std::vec![#(#parents),*],
                }
            }
        }
    }
}

/// The first paragraph of the doc comment, as one line.
fn summary(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(doc_line).map(|line| line.trim().to_owned());
    let paragraph = lines.skip_while(String::is_empty).take_while(|line| !line.is_empty());
    paragraph.collect::<Vec<_>>().join(" ")
}

fn doc_line(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attribute.meta else { return None };
    match &pair.value {
        Expr::Lit(expr) if pair.path.is_ident("doc") => match &expr.lit {
            Lit::Str(text) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{expand, summary};
    use quote::quote;

    fn check(options: proc_macro2::TokenStream, item: proc_macro2::TokenStream, expect: &str) {
        let got = match expand(options, item) {
            Ok(tokens) => tokens.to_string(),
            Err(error) => error.to_string(),
        };
        assert!(got.contains(expect), "{got}");
    }

    #[test]
    fn the_name_is_the_functions_or_the_one_given() {
        check(
            quote!(),
            quote!(
                fn ship() -> StepResult<u8> {}
            ),
            r#"= "ship""#,
        );
        check(
            quote!(name = "ship_it"),
            quote!(
                fn ship() -> StepResult<u8> {}
            ),
            r#"= "ship_it""#,
        );
        check(
            quote!(name = "Ship"),
            quote!(
                fn ship() -> StepResult<u8> {}
            ),
            "cannot name a handler",
        );
        check(
            quote!(nme = "ship"),
            quote!(
                fn ship() -> StepResult<u8> {}
            ),
            "unknown option `nme`",
        );
    }

    #[test]
    fn parents_are_named_with_their_types() {
        let item = quote!(
            fn f() -> R {}
        );
        check(
            quote!(config = C, parents(first: A, second: Option<b::B>,)),
            item.clone(),
            r#"parent :: < Option < b :: B > > ("second" , true)"#,
        );
        check(quote!(parents(first: A)), item.clone(), r#"parent :: < A > ("first" , false)"#);
        check(quote!(parents(first: A, first: B)), item.clone(), "`first` stands here twice");
        check(quote!(parents = A), item, "expected parentheses");
    }

    #[test]
    fn both_arguments_are_optional() {
        check(
            quote!(),
            quote!(
                fn f(a: A, c: &Context) -> R {}
            ),
            "f (input , context)",
        );
        check(
            quote!(),
            quote!(
                fn f(a: A) -> R {}
            ),
            "finish (f (input))",
        );
        check(
            quote!(),
            quote!(
                fn f(c: &Context) -> R {}
            ),
            "finish (f (context))",
        );
        check(
            quote!(),
            quote!(
                fn f() -> R {}
            ),
            "finish (f ())",
        );
    }

    #[test]
    fn other_functions_are_refused_with_a_reason() {
        check(
            quote!(),
            quote!(
                fn f(c: &Context, a: A) -> R {}
            ),
            "a handler is `fn name",
        );
        check(
            quote!(),
            quote!(
                fn f(a: A, b: B, c: &Context) -> R {}
            ),
            "a handler is `fn name",
        );
        check(
            quote!(),
            quote!(
                fn f(a: A) {}
            ),
            "a handler is `fn name",
        );
        check(
            quote!(),
            quote!(
                fn f(&self) -> R {}
            ),
            "not a method",
        );
        check(
            quote!(),
            quote!(
                async fn f() -> R {}
            ),
            "not an `async` one",
        );
        check(
            quote!(),
            quote!(
                fn f<T>(a: T) -> R {}
            ),
            "no generic parameters",
        );
    }

    #[test]
    fn the_summary_is_the_first_paragraph_of_the_doc_comment() {
        let function: syn::ItemFn = syn::parse_quote! {
            /// Checks an order
            /// and prices it.
            ///
            /// More.
            #[must_use]
            fn f() {}
        };
        assert_eq!(summary(&function.attrs), "Checks an order and prices it.");
        assert_eq!(summary(&[]), "");
    }
}
