//! An API before a database in memory, and requests to it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::body::Body;
use axum::http::request::Builder;
use axum::http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use jsonschema::Validator;
use serde_json::{Value, json};
use stepwright_api::view::{HistoryEvent, RegisteredPlugin};
use stepwright_api::{Api, ApiOptions, Host, Parts, Problem, RegisterError, Secret, Upload, document};
use stepwright_orchestrator::webhooks::{self, BadWebhook, Courier, check};
use stepwright_store::{NewPlugin, NewToken, NewWebhook, Store, TaskRecord, TokenScope};
use stepwright_store_sqlite::SqliteStore;
use stepwright_workflow::{Clock, Digest, Payload, Timestamp};
use tower::ServiceExt as _;

/// The present, of all tests.
pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000_000);

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        NOW
    }
}

/// A process that takes every component whose first byte is a zero.
#[derive(Default)]
struct Double(Mutex<u32>);

#[async_trait]
impl Courier for Double {
    async fn post(&self, _: &str, _: &[(&str, String)], _: String) -> Result<u16, String> {
        Ok(200)
    }

    fn check(&self, url: &str) -> Result<(), String> {
        if url.starts_with("https://") { Ok(()) } else { Err("use https".to_owned()) }
    }
}

#[async_trait]
impl Host for Double {
    async fn register(&self, upload: Upload) -> Result<RegisteredPlugin, RegisterError> {
        match upload.bytes.first() {
            Some(0) => Ok(RegisteredPlugin {
                name: upload.name.unwrap_or_else(|| "shop/sent".to_owned()),
                version: upload.version.unwrap_or_else(|| "1.0.0".to_owned()),
                digest: Digest::of(&upload.bytes).to_string(),
                created: true,
                asked: vec!["https://pay.example:443".to_owned()],
                not_granted: Vec::new(),
                warning: upload.signatures,
            }),
            Some(1) => Err(RegisterError::Exists("shop/sent@1.0.0 is there".to_owned())),
            _ => Err(RegisterError::Refused("it is no component".to_owned())),
        }
    }

    fn draw(&self) -> Result<Secret, String> {
        let mut drawn = self.0.lock().unwrap();
        *drawn += 1;
        let text = format!("sw_drawn-{drawn}");
        Ok(Secret { hash: Digest::of(text.as_bytes()), text })
    }

    fn webhook_secret(&self) -> Result<String, String> {
        Ok(webhooks::secret(&[7; 32]))
    }

    fn check_webhook(&self, webhook: &NewWebhook) -> Result<(), BadWebhook> {
        check(webhook, self)
    }

    async fn wake(&self) {}

    async fn history(&self, task: &TaskRecord) -> Result<Vec<HistoryEvent>, Problem> {
        Ok(vec![HistoryEvent {
            at: task.summary.created_at.0,
            kind: "created".to_owned(),
            step: None,
            attempt: None,
            batch: None,
            worker: None,
            incarnation: None,
            plugin: None,
            what: "task created".to_owned(),
            changed: String::new(),
        }])
    }
}

/// A template of two steps over the plugin that each rig has.
pub(crate) const TEMPLATE: &str = "\
template: order
namespace: shop
version: 1.0.0
plugin: examples/shop@^1
input_schema:
  type: object
  required: [order_id]
  properties: { order_id: { type: integer }, items: { type: array, items: { type: string } } }
steps:
  - { name: check, handler: check }
  - { name: pay, handler: pay, depends_on: check }
";

/// A version of the plugin.
pub(crate) fn plugin(version: &str) -> NewPlugin {
    let description = json!({
        "name": "examples/shop", "version": version, "summary": "Sells.",
        "handlers": [
            { "name": "check", "summary": "Checks.", "input_schema": "{\"type\":\"object\"}" },
            { "name": "pay", "summary": "Pays." },
        ],
    });
    NewPlugin {
        digest: Digest::of(version.as_bytes()),
        name: "examples/shop".to_owned(),
        version: version.to_owned(),
        bytes: 4,
        description: Payload::of(&description).unwrap(),
        source: "file".to_owned(),
        signatures: Payload::parse("[]").unwrap(),
        imports: Vec::new(),
    }
}

/// An API, its database, and a token of each scope.
pub(crate) struct Rig {
    pub(crate) store: Arc<SqliteStore>,
    /// Whoever waits is told once it is gone.
    api: Api,
    document: Value,
    /// By the names of their schemas.
    validators: BTreeMap<String, Validator>,
    /// Whether it asks for no token.
    open: bool,
}

/// What a request was answered with.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The problem's code, if it is one.
    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or("none").to_owned()
    }
}

/// A stream of events under way.
pub(crate) struct Stream<'a> {
    rig: &'a Rig,
    body: Body,
    text: String,
}

impl Stream<'_> {
    /// The next message: its id, its name, and its data, which is as the document says.
    pub(crate) async fn next(&mut self) -> (String, String, Value) {
        loop {
            if let Some((message, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let line = message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                    line.map(str::to_owned)
                };
                let fields = (field("id"), field("event"), field("data"));
                self.text = rest.to_owned();
                if let (Some(id), Some(name), Some(data)) = fields {
                    let data: Value = serde_json::from_str(&data).unwrap();
                    assert_eq!((&data["position"], &data["event"]), (&json!(id), &json!(name)));
                    self.rig.fits("Event", &data, &name);
                    return (id, name, data);
                }
                continue;
            }
            let frame = self.body.frame().await.expect("it goes on").unwrap();
            self.text.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
        }
    }
}

impl Rig {
    /// With a token of each scope, named after it, with the secret `sw_SCOPE`; and a plugin and a template.
    pub(crate) async fn new() -> Self {
        Self::with(ApiOptions::default()).await
    }

    pub(crate) async fn with(options: ApiOptions) -> Self {
        let store = Arc::new(SqliteStore::in_memory().await.unwrap());
        if !options.open {
            for scope in TokenScope::ALL {
                let name = scope.as_str().to_owned();
                let hash = Digest::of(format!("sw_{name}").as_bytes());
                let token = NewToken { name, scope, hash, created_by: "ann".to_owned(), expires_at: None };
                store.add_token(&token, NOW).await.unwrap();
            }
        }
        store.add_plugin(&plugin("1.0.0"), NOW).await.unwrap();
        let parts = Parts {
            store: store.clone(),
            orchestrator: None,
            clock: Arc::new(Fixed),
            host: Arc::new(Double::default()),
            random: Arc::new(|| 7),
            options,
        };
        let document = serde_json::to_value(document()).unwrap();
        let open = parts.options.open;
        let api = Api::new(parts).await.unwrap();
        let rig = Self { store, api, validators: validators(&document), document, open };
        let added = rig.yaml(TEMPLATE).await;
        assert_eq!(added.status, 201, "{}", added.text);
        rig
    }

    /// Asks with the token of the administrator.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Value) -> Reply {
        let request = self.shown(Request::builder().method(method).uri(path), "sw_admin");
        self.send(match body {
            Value::Null => request.body(Body::empty()).unwrap(),
            body => {
                let request = request.header("content-type", "application/json; charset=utf-8");
                request.body(Body::from(body.to_string())).unwrap()
            }
        })
        .await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask(Method::GET, path, Value::Null).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.ask(Method::POST, path, body).await
    }

    /// Registers a template.
    pub(crate) async fn yaml(&self, text: &str) -> Reply {
        let request = self.shown(Request::post("/v1/templates"), "sw_operate");
        let request = request.header("content-type", "application/yaml");
        self.send(request.body(Body::from(text.to_owned())).unwrap()).await
    }

    /// A request of this machine, with a token where one is needed.
    fn shown(&self, request: Builder, secret: &str) -> Builder {
        let request = request.header("host", "localhost");
        if self.open { request } else { request.header("authorization", format!("Bearer {secret}")) }
    }

    /// Sends a request, and compares the answer with what the document says of its route.
    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = self.api.router().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let pairs = head.headers.iter();
        let reply = Reply {
            status: head.status,
            headers: pairs
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect(),
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        };
        assert!(reply.headers.contains_key("x-request-id"), "{method} {path}");
        self.is_as_documented(&method, &path, &reply);
        reply
    }

    /// A stream of events, with the token of a reader.
    pub(crate) async fn stream(&self, path: &str, last: Option<&str>) -> Stream<'_> {
        let mut request = self.shown(Request::get(path), "sw_read");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = self.api.router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        assert_eq!(
            (head.status, head.headers["content-type"].to_str().unwrap()),
            (StatusCode::OK, "text/event-stream"),
            "{path}"
        );
        Stream { rig: self, body, text: String::new() }
    }

    fn is_as_documented(&self, method: &Method, path: &str, reply: &Reply) {
        let shown = format!("{method} {path}: {} {}", reply.status, reply.text);
        let Some(operation) = self.operation(method, path) else {
            assert!(matches!(reply.status.as_u16(), 400 | 404 | 405), "{shown}");
            return self.fits("Problem", &reply.json(), &shown);
        };
        let response = &operation["responses"][reply.status.as_str()];
        assert!(response.is_object(), "undocumented: {shown}");
        let kind = reply.headers["content-type"].split(';').next().unwrap();
        let schema = &response["content"][kind]["schema"];
        assert!(schema.is_object(), "undocumented content type {kind}: {shown}");
        if let Some(name) = schema["$ref"].as_str() {
            self.fits(name.rsplit('/').next().unwrap(), &reply.json(), &shown);
        }
    }

    fn fits(&self, name: &str, value: &Value, shown: &str) {
        let errors = self.validators[name].iter_errors(value);
        let wrong: Vec<String> = errors.map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{name}: {wrong:?}\n{shown}");
    }

    fn operation(&self, method: &Method, path: &str) -> Option<&Value> {
        let parts: Vec<&str> = path.split('/').collect();
        let fits = |template: &str| {
            let wanted: Vec<&str> = template.split('/').collect();
            wanted.len() == parts.len()
                && wanted.iter().zip(&parts).all(|(wanted, part)| wanted.starts_with('{') || wanted == part)
        };
        let paths = self.document["paths"].as_object().unwrap();
        // Fixed words come before variable ones, as the router has it.
        let mut found: Vec<&String> = paths.keys().filter(|template| fits(template)).collect();
        found.sort_by_key(|template| template.matches('{').count());
        let item = &paths[*found.first()?];
        item.get(method.as_str().to_lowercase())
    }
}

/// What tells whether a value is as the document says.
fn validators(document: &Value) -> BTreeMap<String, Validator> {
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let all = json!({ "schemas": schemas });
    let validator = |name: &String| {
        let schema = json!({ "$ref": format!("#/components/schemas/{name}"), "components": all });
        (name.clone(), jsonschema::validator_for(&schema).unwrap())
    };
    schemas.keys().map(validator).collect()
}
