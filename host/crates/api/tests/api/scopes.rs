//! Who may ask for what: every route with every scope, and with none.

use axum::body::Body;
use axum::http::{Method, Request};
use stepwright_api::{Access, ApiOptions, table};
use stepwright_store::{Store as _, TokenScope};

use crate::rig::Rig;

/// Every route and what it needs: a new one needs a line.
const ROUTES: &str = "
GET    /v1/health                                                          free
GET    /v1/ready                                                           free
GET    /v1/openapi.json                                                    free
GET    /v1/errors/{code}                                                   free
GET    /v1/templates                                                       read
POST   /v1/templates                                                       operate
GET    /v1/templates/{namespace}/{name}                                    read
GET    /v1/templates/{namespace}/{name}/plan                               read
GET    /v1/plugins                                                         read
POST   /v1/plugins                                                         admin
GET    /v1/plugins/{namespace}/{name}                                      read
GET    /v1/plugins/{namespace}/{name}/versions/{version}                   read
POST   /v1/plugins/{namespace}/{name}/versions/{version}/enable            admin
POST   /v1/plugins/{namespace}/{name}/versions/{version}/disable           admin
POST   /v1/plugins/{namespace}/{name}/versions/{version}/yank              admin
POST   /v1/plugins/{namespace}/{name}/versions/{version}/quarantine        admin
POST   /v1/tasks                                                           run
POST   /v1/tasks/bulk                                                      run
GET    /v1/tasks                                                           read
GET    /v1/tasks/{id}                                                      read
GET    /v1/tasks/{id}/wait                                                 read
GET    /v1/tasks/{id}/attempts                                             read
GET    /v1/tasks/{id}/history                                              read
POST   /v1/tasks/{id}/cancel                                               operate
POST   /v1/tasks/{id}/resolve                                              operate
POST   /v1/tasks/{id}/pause                                                operate
POST   /v1/tasks/{id}/resume                                               operate
POST   /v1/tasks/{id}/retry                                                operate
POST   /v1/tasks/{id}/steps/{name}/retry                                   operate
POST   /v1/tasks/{id}/steps/{name}/resolve                                 operate
POST   /v1/tasks/{id}/steps/{name}/skip                                    operate
GET    /v1/analytics/metrics                                               read
GET    /v1/analytics/slowest/tasks                                         read
GET    /v1/analytics/slowest/steps                                         read
GET    /v1/analytics/health                                                read
GET    /v1/tasks/{id}/execution                                            read
GET    /v1/tasks/{id}/levels                                               read
GET    /v1/tasks/{id}/viable                                               read
GET    /v1/events                                                          read
GET    /v1/batches                                                         read
GET    /v1/batches/{id}                                                    read
GET    /v1/workers                                                         read
GET    /v1/orchestrators                                                   read
GET    /v1/pauses                                                          read
POST   /v1/pauses                                                          operate
DELETE /v1/pauses                                                          operate
GET    /v1/tokens                                                          admin
POST   /v1/tokens                                                          admin
DELETE /v1/tokens/{id}                                                     admin
GET    /v1/webhooks                                                        admin
POST   /v1/webhooks                                                        admin
GET    /v1/webhooks/{name}                                                 admin
DELETE /v1/webhooks/{name}                                                 admin
POST   /v1/webhooks/{name}/enable                                          admin
POST   /v1/webhooks/{name}/disable                                         admin
";

/// The secrets that are tried, and which words of the table each opens.
const SECRETS: &[(Option<&str>, &[&str])] = &[
    (None, &["free"]),
    (Some("sw_nobody"), &["free"]),
    (Some("sw_worker"), &["free"]),
    (Some("sw_read"), &["free", "read"]),
    (Some("sw_run"), &["free", "read", "run"]),
    (Some("sw_operate"), &["free", "read", "run", "operate"]),
    (Some("sw_admin"), &["free", "read", "run", "operate", "admin"]),
];

fn lines() -> Vec<(Method, &'static str, &'static str)> {
    let words = |line: &'static str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words[0].parse().unwrap(), words[1], words[2])
    };
    ROUTES.lines().filter(|line| !line.is_empty()).map(words).collect()
}

#[test]
fn every_route_has_a_line() {
    let word = |access| match access {
        Access::Free => "free",
        Access::Scope(scope) => TokenScope::as_str(scope),
    };
    let served =
        table().into_iter().map(|(method, path, access)| (method.parse().unwrap(), path, word(access)));
    let served: Vec<(Method, &str, &str)> = served.collect();
    assert_eq!(served, lines());
}

/// A request that is refused further on, or changes nothing, wherever it is let in.
fn request(method: &Method, path: &str, secret: Option<&str>) -> Request<Body> {
    // A stream that is let in would not end.
    let path = path.replace("/v1/events", "/v1/events?after=x");
    let path = path.replace("{id}", "999").replace("{code}", "internal").replace("{version}", "9.9.9");
    let path = path.replace("{namespace}", "no").replace("{name}", "such");
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
    if let Some(secret) = secret {
        request = request.header("authorization", format!("Bearer {secret}"));
    }
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn each_scope_opens_its_routes_and_no_other() {
    let rig = Rig::new().await;
    for (method, path, needs) in lines() {
        for (secret, opens) in SECRETS {
            let reply = rig.send(request(&method, path, *secret)).await;
            let shown = format!("{method} {path} with {secret:?}: {} {}", reply.status, reply.text);
            match (opens.contains(&needs), secret) {
                (true, _) => assert!(!matches!(reply.status.as_u16(), 401 | 403), "{shown}"),
                (false, None | Some("sw_nobody")) => {
                    assert_eq!(
                        (reply.status.as_u16(), reply.code().as_str()),
                        (401, "unauthorized"),
                        "{shown}"
                    );
                    assert!(reply.headers["www-authenticate"].starts_with("Bearer"), "{shown}");
                }
                (false, Some(_)) => {
                    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (403, "forbidden"), "{shown}");
                }
            }
        }
    }
}

#[tokio::test]
async fn without_any_token_the_loopback_is_open_to_programs_of_this_machine() {
    let rig = Rig::with(ApiOptions { open: true, ..ApiOptions::default() }).await;
    let ask = |host: &'static str, origin: Option<&'static str>| {
        let mut request = Request::get("/v1/tasks").header("host", host);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        rig.send(request.body(Body::empty()).unwrap())
    };
    assert_eq!(ask("127.0.0.1:7780", None).await.status, 200);
    assert_eq!(ask("evil.example", None).await.code(), "forbidden");
    assert_eq!(ask("127.0.0.1:7780", Some("https://evil.example")).await.code(), "forbidden");
    let with_token = Request::get("/v1/tasks").header("authorization", "Bearer sw_nobody");
    assert_eq!(rig.send(with_token.body(Body::empty()).unwrap()).await.code(), "unauthorized");
    assert!(rig.store.tokens().await.unwrap().is_empty());
}
