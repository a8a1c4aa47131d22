//! Routes with everything that is to be said of them, in one place: method, path, who may, the handler, and the document.
//!
//! What the document says of a route is what is enforced: there is no second list.

use std::collections::{BTreeMap, BTreeSet};

use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use stepwright_store::TokenScope;
use tokio::time::Instant;
use tracing::Instrument as _;
use utoipa::openapi::path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Content, ContentBuilder, Ref, RefOr, Required, ResponseBuilder};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::access::{Access, Caller};
use crate::app::App;
use crate::code::Code;
use crate::problem::{PROBLEM_JSON, Problem};

/// The name of the way to show a token.
pub(crate) const TOKEN: &str = "token";

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Characters of a request's id that is echoed.
const REQUEST_ID_MAX: usize = 64;

/// What an answer means, and what it holds, with the media type.
type Said = (&'static str, Option<(&'static str, Content)>);

/// A route.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    handler: MethodRouter<App>,
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    description: Option<&'static str>,
    parameters: Vec<Parameter>,
    body: Vec<(&'static str, Content)>,
    answers: BTreeMap<u16, Said>,
    codes: BTreeSet<Code>,
    /// Schemas that the document needs for it.
    pub(crate) schemas: Vec<(String, RefOr<Schema>)>,
}

impl Route {
    pub(crate) fn get<H: Handler<T, App>, T: 'static>(path: &'static str, handler: H) -> Self {
        Self::new(Method::GET, path, on(MethodFilter::GET, handler))
    }

    pub(crate) fn post<H: Handler<T, App>, T: 'static>(path: &'static str, handler: H) -> Self {
        Self::new(Method::POST, path, on(MethodFilter::POST, handler))
    }

    pub(crate) fn delete<H: Handler<T, App>, T: 'static>(path: &'static str, handler: H) -> Self {
        Self::new(Method::DELETE, path, on(MethodFilter::DELETE, handler))
    }

    fn new(method: Method, path: &'static str, handler: MethodRouter<App>) -> Self {
        Self {
            method,
            path,
            // The most that can be asked for, until it is said what is.
            access: Access::Scope(TokenScope::Admin),
            handler,
            id: "",
            tag: "",
            summary: "",
            description: None,
            parameters: path_parameters(path),
            body: Vec::new(),
            answers: BTreeMap::new(),
            codes: BTreeSet::from([Code::InvalidRequest]),
            schemas: Vec::new(),
        }
    }

    /// Its name for generated clients, and what it does.
    pub(crate) fn named(mut self, tag: &'static str, id: &'static str, summary: &'static str) -> Self {
        (self.tag, self.id, self.summary) = (tag, id, summary);
        self
    }

    /// More of what it does.
    pub(crate) fn described(mut self, text: &'static str) -> Self {
        self.description = Some(text);
        self
    }

    /// Opens it to everybody.
    pub(crate) fn free(mut self) -> Self {
        self.access = Access::Free;
        self
    }

    /// Opens it to tokens of a scope.
    pub(crate) fn needs(mut self, scope: TokenScope) -> Self {
        self.access = Access::Scope(scope);
        self.codes.extend([
            Code::Unauthorized,
            Code::Forbidden,
            Code::RateLimited,
            Code::Internal,
            Code::Unavailable,
        ]);
        self
    }

    /// What its query may hold.
    pub(crate) fn query<Q: IntoParams>(mut self) -> Self {
        self.parameters.extend(Q::into_params(|| Some(ParameterIn::Query)));
        self
    }

    /// A header that it reads.
    pub(crate) fn header(mut self, name: &'static str, description: &'static str, most: usize) -> Self {
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(most))
            .pattern(Some("^[!-~]+$"));
        let header = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(description))
            .schema(Some(schema));
        self.parameters.push(header.build());
        self
    }

    /// The JSON that it reads.
    pub(crate) fn body<T: ToSchema>(self) -> Self {
        let content = self.reference::<T>();
        self.body_as::<T>("application/json", content)
    }

    /// A body that is no JSON.
    pub(crate) fn body_text(mut self, kind: &'static str) -> Self {
        let schema = ObjectBuilder::new().schema_type(Type::String);
        self.body.push((kind, ContentBuilder::new().schema(Some(schema)).build()));
        self.reads_body()
    }

    /// A body of bytes.
    pub(crate) fn body_bytes(mut self, kind: &'static str) -> Self {
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
        self.body.push((kind, ContentBuilder::new().schema(Some(schema)).build()));
        self.reads_body()
    }

    fn body_as<T: ToSchema>(mut self, kind: &'static str, content: Content) -> Self {
        self.collect::<T>();
        self.body.push((kind, content));
        self.reads_body()
    }

    fn reads_body(mut self) -> Self {
        self.codes.extend([Code::PayloadTooLarge, Code::UnsupportedMediaType, Code::RequestTimeout]);
        self
    }

    /// The JSON that it answers with.
    pub(crate) fn answers<T: ToSchema>(mut self, status: StatusCode, what: &'static str) -> Self {
        self.answer::<T>(status, "application/json", what);
        self
    }

    /// A text that it answers with.
    pub(crate) fn answers_text(mut self, what: &'static str) -> Self {
        let content =
            ContentBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String))).build();
        self.answers.insert(StatusCode::OK.as_u16(), (what, Some(("text/plain", content))));
        self
    }

    /// A stream of messages that it answers with, the data of each of which is this as JSON.
    pub(crate) fn answers_stream<T: ToSchema>(mut self, what: &'static str) -> Self {
        self.answer::<T>(StatusCode::OK, "text/event-stream", what);
        self
    }

    fn answer<T: ToSchema>(&mut self, status: StatusCode, kind: &'static str, what: &'static str) {
        let content = self.reference::<T>();
        self.collect::<T>();
        self.answers.insert(status.as_u16(), (what, Some((kind, content))));
    }

    /// Problems beside those that each route may have.
    pub(crate) fn fails(mut self, codes: &[Code]) -> Self {
        self.codes.extend(codes);
        self
    }

    fn reference<T: ToSchema>(&self) -> Content {
        ContentBuilder::new().schema(Some(Ref::from_schema_name(T::name()))).build()
    }

    fn collect<T: ToSchema>(&mut self) {
        self.schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(&mut self.schemas);
    }

    /// Its name for generated clients.
    #[cfg(test)]
    pub(crate) fn id(&self) -> &'static str {
        self.id
    }

    /// What the document says of it.
    pub(crate) fn operation(&self) -> Operation {
        let mut operation = OperationBuilder::new()
            .operation_id(Some(self.id))
            .tag(self.tag)
            .summary(Some(self.summary))
            .description(self.description)
            .parameters((!self.parameters.is_empty()).then(|| self.parameters.clone()));
        if let Access::Scope(scope) = self.access {
            operation = operation.security(SecurityRequirement::new(TOKEN, [scope.as_str()]));
        }
        if !self.body.is_empty() {
            let mut body = RequestBodyBuilder::new().required(Some(Required::True));
            for (kind, content) in &self.body {
                body = body.content(*kind, content.clone());
            }
            operation = operation.request_body(Some(body.build()));
        }
        for (status, (what, content)) in &self.answers {
            let mut response = ResponseBuilder::new().description(*what);
            if let Some((kind, content)) = content {
                response = response.content(*kind, content.clone());
            }
            operation = operation.response(status.to_string(), response.build());
        }
        let mut problems: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
        for code in &self.codes {
            problems.entry(code.status().as_u16()).or_default().push(code.as_str());
        }
        // A status that is an answer as well, as that of readiness.
        problems.retain(|status, _| !self.answers.contains_key(status));
        for (status, codes) in problems {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name())));
            let response = ResponseBuilder::new()
                .description(format!("A problem: {}", codes.join(", ")))
                .content(PROBLEM_JSON, content.build());
            operation = operation.response(status.to_string(), response.build());
        }
        operation.build()
    }
}

/// The variable parts of a path, as the document has them.
fn path_parameters(path: &str) -> Vec<Parameter> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    names.map(path_parameter).collect()
}

fn path_parameter(name: &str) -> Parameter {
    let text = || ObjectBuilder::new().schema_type(Type::String).min_length(Some(1));
    let schema: RefOr<Schema> = match name {
        "id" => ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            .minimum(Some(1))
            .maximum(Some(i64::MAX))
            .into(),
        "code" => Code::schema(),
        _ => text().into(),
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(schema))
        .build()
}

/// The router of these routes.
pub(crate) fn router(app: &App, routes: Vec<Route>) -> Router {
    let mut router = Router::new();
    for route in routes {
        let gate = from_fn_with_state((app.clone(), route.access), admit);
        router = router.route(route.path, route.handler.route_layer(gate));
    }
    router
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(from_fn_with_state(app.clone(), around))
        .with_state(app.clone())
}

async fn no_route(request: Request) -> Problem {
    let path = request.uri().path();
    Problem::new(Code::NotFound, format!("there is no route '{path}'; /v1/openapi.json lists them"))
}

async fn no_method(request: Request) -> Problem {
    let (method, path) = (request.method(), request.uri().path());
    Problem::new(
        Code::MethodNotAllowed,
        format!("'{path}' does not know {method}; the header Allow says what it knows"),
    )
}

/// Lets a request in, or not.
async fn admit(
    State((app, access)): State<(App, Access)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let Access::Scope(scope) = access else { return Ok(next.run(request).await) };
    let caller: Caller = app.gatekeeper.admit(request.headers(), scope)?;
    app.limits.request(caller.token, Instant::now())?;
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

/// Around every request: its id, and a line of the log.
async fn around(State(app): State<App>, request: Request, next: Next) -> Response {
    let id = request.headers().get(&REQUEST_ID).filter(|id| is_good(id)).cloned();
    let id = id.or_else(|| HeaderValue::from_str(&format!("{:016x}", (app.parts.random)())).ok());
    let (method, path, begun) = (request.method().clone(), request.uri().path().to_owned(), Instant::now());
    // No database keeps this character, and nothing that has a name has it.
    let whole = request.uri().path_and_query().map(|whole| whole.as_str()).unwrap_or_default();
    let id_text = id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or_default();
    // So that whatever is logged about the request has its id.
    let span = tracing::error_span!("request", id = id_text);
    let mut response = if whole.contains("%00") {
        Problem::new(Code::InvalidRequest, "the address holds the character U+0000").into_response()
    } else {
        next.run(request).instrument(span).await
    };
    let status = response.status().as_u16();
    let ms = begun.elapsed().as_millis();
    tracing::debug!(%method, path, status, id = id_text, ms, "answered a request");
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn is_good(id: &HeaderValue) -> bool {
    (1..=REQUEST_ID_MAX).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}
