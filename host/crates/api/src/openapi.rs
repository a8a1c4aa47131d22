//! The document that describes the API, made from its routes.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use axum::http::Method;
use utoipa::openapi::path::{HttpMethod, PathItem, PathsBuilder};
use utoipa::openapi::schema::{ComponentsBuilder, Schema};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, RefOr};
use utoipa::{PartialSchema as _, ToSchema as _};

use crate::problem::Problem;
use crate::route::{Route, TOKEN};
use crate::routes;

/// The version of the API: what stands in every path.
const VERSION: &str = "1.0.0";

const DESCRIPTION: &str = "\
Tasks are started, waited for, looked at and repaired; templates and plugins are registered; tokens are made.

Moments (`*_at`, `at`, `since`) are milliseconds since 1970-01-01T00:00:00Z; other units stand in the names. Durations in requests \
are texts such as `30s`, `5m` or `1h`. Fields that are not known are mistakes. Every status from 400 on is a problem (RFC 9457) \
with a stable `code`. Every response has `X-Request-Id`, that of the request if it sent one.

A token of the scope admin opens everything; operate includes run, which includes read.";

const TAGS: &[(&str, &str)] = &[
    ("service", "The process itself"),
    ("templates", "What tasks are made from"),
    ("plugins", "What runs the steps"),
    ("tasks", "Runs of templates"),
    ("steps", "What a person may do to a step"),
    ("batches", "Which steps went where, and what came back"),
    ("fleet", "Who is there"),
    ("pauses", "What is held up"),
    ("tokens", "Who may ask"),
    ("performance", "How the whole does"),
    ("events", "What happens, as it happens"),
    ("webhooks", "Who else is told of it"),
];

/// The document.
pub fn document() -> OpenApi {
    let routes = routes::all();
    let (mut paths, mut schemas) = (PathsBuilder::new(), BTreeMap::<String, RefOr<Schema>>::new());
    let mut problem = vec![(Problem::name().into_owned(), Problem::schema())];
    Problem::schemas(&mut problem);
    schemas.extend(problem);
    for route in routes {
        let item = PathItem::new(method(&route), route.operation());
        paths = paths.path(route.path, item);
        schemas.extend(route.schemas);
    }
    let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
        "`sw_…`, made by `stepwright token create --scope SCOPE`; the scope needed stands with each route.",
    ));
    let components = ComponentsBuilder::new()
        .security_scheme(TOKEN, SecurityScheme::Http(token.build()))
        .schemas_from_iter(schemas);
    let info =
        InfoBuilder::new().title("Stepwright").version(VERSION).description(Some(DESCRIPTION)).license(Some(
            LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0")).build(),
        ));
    let tags = TAGS.iter().map(|(name, what)| TagBuilder::new().name(*name).description(Some(*what)).build());
    OpenApiBuilder::new()
        .info(info.build())
        .paths(paths)
        .components(Some(components.build()))
        .tags(Some(tags))
        .build()
}

fn method(route: &Route) -> HttpMethod {
    match route.method {
        Method::POST => HttpMethod::Post,
        Method::DELETE => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}

/// The document as it is served.
pub(crate) fn text() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| document().to_pretty_json().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_the_one_in_the_reference() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/reference/openapi.json");
        let wanted = format!("{}\n", text());
        if std::fs::read_to_string(path).ok().as_ref() != Some(&wanted) {
            let fresh = std::env::temp_dir().join("openapi.json");
            std::fs::write(&fresh, wanted).unwrap();
            panic!("docs/reference/openapi.json is stale; the right one is {}", fresh.display());
        }
    }

    #[test]
    fn whatever_is_referred_to_is_there() {
        let document: serde_json::Value = serde_json::from_str(text()).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let references = text().split("#/components/schemas/").skip(1);
        for name in references.filter_map(|rest| rest.split('"').next()) {
            assert!(schemas.contains_key(name), "{name}");
        }
        for name in schemas.keys() {
            assert!(text().contains(&format!("#/components/schemas/{name}\"")), "nobody refers to {name}");
        }
        let ids: Vec<&str> = routes::all().iter().map(|route| route.id()).collect();
        let different: std::collections::BTreeSet<&&str> = ids.iter().collect();
        assert_eq!(ids.len(), different.len(), "{ids:?}");
        assert!(!different.contains(&""));
    }
}
