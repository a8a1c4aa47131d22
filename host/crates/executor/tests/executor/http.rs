//! Requests of guests over real sockets: what goes out, what is denied, and what the limits do.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::json;
use stepwright_executor::egress::{FakeAnswer, FakeBody, FakeHttp};
use stepwright_executor::grants::PluginLimits;
use stepwright_executor::{Egress, EgressOptions, EngineOptions, Grants, Observations};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::bench::{Reach, answers, eventually, failed, http, warnings};
use crate::server::Server;

const LOOPBACK: &str = "127.0.0.0/8";

fn grants(http_grants: &[&str], networks: &[&str]) -> Grants {
    let networks = networks.iter().map(|text| text.parse().unwrap()).collect();
    Grants { http: http(http_grants), networks, ..Grants::default() }
}

fn through(egress: Egress, grants: Grants) -> Reach {
    Reach::with(EngineOptions::default(), grants, |executor| executor.with_egress(egress))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn granted_hosts_are_called_and_others_denied_with_the_missing_grant() {
    let server = Server::start().await;
    let here = server.address.to_string();
    let reach = Reach::new(grants(&[&format!("GET,POST http://{here}")], &[LOOPBACK]));
    let (answers, report) = reach
        .fetch(json!([
            { "scheme": "http", "authority": here, "path": "/a?b=c", "headers": [["x-mine", "1"]] },
            { "scheme": "http", "authority": here, "method": "POST", "path": "/echo", "body": "some body" },
            { "scheme": "http", "authority": here, "method": "PUT" },
            { "authority": here },
            { "authority": "api.example.com:8443", "method": "DELETE" },
            { "scheme": "http", "authority": "10.1.2.3" },
            { "scheme": "http", "authority": format!("user:word@{here}") },
            { "scheme": "ftp", "authority": here },
            { "scheme": "http", "authority": here, "headers": [["host", "elsewhere"]] },
            { "scheme": "http", "authority": here, "method": "CONNECT" },
        ]))
        .await;
    assert_eq!((&answers[0]["status"], &answers[0]["body"]), (&json!(200), &json!("hello")));
    assert_eq!(answers[0]["headers"], json!([["x-from", "server"], ["content-length", "5"]]));
    assert!(answers[1]["body"].as_str().unwrap().ends_with("\r\n\r\nsome body"), "{}", answers[1]);
    for denied in &answers[2..6] {
        assert_eq!(denied, &json!({ "error": "ErrorCode::HttpRequestDenied" }));
    }
    assert_eq!(answers[6], json!({ "error": "ErrorCode::HttpRequestUriInvalid" }));
    assert_eq!(answers[7], json!({ "error": "ErrorCode::HttpProtocolError" }));
    assert_eq!(answers[8], json!({ "error": "HeaderError::Forbidden" }));
    assert_eq!(answers[9], json!({ "error": "ErrorCode::HttpRequestMethodInvalid" }));
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0], format!("GET /a?b=c HTTP/1.1\r\nhost: {here}\r\nx-mine: 1\r\n\r\n"));
    let said = warnings(&report);
    let grant = |http: &str| format!("\n[[grants]]\nplugin = \"fixtures/reach\"\nhttp = [\"{http}\"]");
    assert!(said[0].starts_with(&format!("PUT http://{here} was denied: no grant names it. ")), "{said:?}");
    assert!(said[0].ends_with(&grant(&format!("PUT http://{here}"))), "{said:?}");
    assert!(said[2].ends_with(&grant("DELETE https://api.example.com:8443")), "{said:?}");
    assert!(
        said[3].ends_with(&format!("{}\nnetworks = [\"10.1.2.3/32\"]", grant("GET http://10.1.2.3"))),
        "{said:?}"
    );
    assert!(said[4].contains("a user name in an address is not passed on"), "{said:?}");
    let receipt = report.receipt;
    assert_eq!((receipt.http_calls, receipt.http_bytes_out), (2, 9));
    assert_eq!(receipt.http_bytes_in, 5 + answers[1]["body"].as_str().unwrap().len() as u64);
    eventually(|| reach.executor.connections_free() == 256).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_spellings_that_lead_to_this_machine_are_refused() {
    let server = Server::start().await;
    let port = server.port();
    let spellings = [
        "127.0.0.1",
        "localhost",
        "LOCALHOST.",
        "127.1",
        "0x7f.1",
        "2130706433",
        "017700000001",
        "[::ffff:127.0.0.1]",
        "[::1]",
    ];
    let granted: Vec<String> = spellings.iter().map(|host| format!("http://{host}:{port}")).collect();
    let granted: Vec<&str> =
        granted.iter().map(String::as_str).chain(["http://169.254.169.254", "http://0.0.0.0"]).collect();
    let closed = Reach::new(grants(&granted, &["169.254.0.0/16", "0.0.0.0/8"]));
    let requests: Vec<_> = spellings
        .iter()
        .map(|host| format!("{host}:{port}"))
        .chain(["169.254.169.254".to_owned(), "0.0.0.0".to_owned(), "2852039166".to_owned()])
        .map(|authority| json!({ "scheme": "http", "authority": authority }))
        .collect();
    let (refused, report) = closed.fetch(json!(requests)).await;
    assert!(refused.iter().all(|answer| answer["error"] == "ErrorCode::HttpRequestDenied"), "{refused:?}");
    assert!(server.seen().is_empty());
    let said = warnings(&report).join("\n");
    assert!(said.contains("it leads to 127.0.0.1, a loopback address. This in the configuration would allow it:\n[[grants]]\nplugin = \"fixtures/reach\"\nnetworks = [\"127.0.0.1/32\"]"), "{said}");
    assert!(
        said.contains("it leads to 169.254.169.254, the address of a cloud's metadata service."),
        "{said}"
    );
    assert!(said.contains("it leads to 0.0.0.0, an address of no host (0.0.0.0/8)"), "{said}");
    assert_eq!(report.receipt.http_calls, 0);

    let open = Reach::new(grants(&granted, &[LOOPBACK, "::1/128"]));
    let (reached, _) = open.fetch(json!(requests[..8])).await;
    assert!(reached.iter().all(|answer| answer["status"] == 200), "{reached:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_address_that_is_connected_to_is_the_one_that_was_checked() {
    let server = Server::start().await;
    let port = server.port();
    let lookups = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&lookups);
    // The second answer for `turns.test` would lead elsewhere; one of the addresses of `mixed.test` does.
    let egress = Egress::default().resolving(move |name| {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let times = counted.fetch_add(1, Ordering::Relaxed);
        match (name, times) {
            ("turns.test", 0) => Ok(vec![address("127.0.0.1")]),
            ("turns.test", _) => Ok(vec![address("10.0.0.1")]),
            ("mixed.test", _) => Ok(vec![address("127.0.0.1"), address("192.168.0.1")]),
            _ => Err(std::io::Error::other("no such name")),
        }
    });
    let hosts = [format!("http://*.test:{port}"), format!("http://gone.example:{port}")];
    let reach = through(egress, grants(&[&hosts[0], &hosts[1]], &["127.0.0.1/32"]));
    let to = |host: &str| json!({ "scheme": "http", "authority": format!("{host}:{port}") });
    let (answers, report) = reach.fetch(json!([to("turns.test")])).await;
    assert_eq!((&answers[0]["status"], lookups.load(Ordering::Relaxed)), (&json!(200), 1));
    assert!(server.seen()[0].contains(&format!("host: turns.test:{port}\r\n")));
    assert!(warnings(&report).is_empty());
    let (answers, report) =
        reach.fetch(json!([to("turns.test"), to("mixed.test"), to("gone.example")])).await;
    assert_eq!(answers[0]["error"], "ErrorCode::HttpRequestDenied");
    assert_eq!(answers[1]["error"], "ErrorCode::HttpRequestDenied");
    assert!(answers[2]["error"].as_str().unwrap().starts_with("ErrorCode::DnsError"), "{answers:?}");
    assert!(
        warnings(&report)[1].contains("leads to 192.168.0.1, a private address"),
        "{:?}",
        warnings(&report)
    );
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_encodings_and_broken_answers_are_the_guests_affair() {
    let server = Server::start().await;
    let here = server.address.to_string();
    let reach = Reach::new(grants(&[&format!("http://{here}")], &[LOOPBACK]));
    let to = |path: &str| json!({ "scheme": "http", "authority": here, "path": path });
    let (answers, _) = reach.fetch(json!([to("/redirect"), to("/packed"), to("/close")])).await;
    assert_eq!(answers[0]["status"], 302);
    assert!(answers[0]["headers"].to_string().contains("http://169.254.169.254/"));
    assert_eq!(answers[1]["body"], "as it is");
    assert_eq!(answers[2]["error"], "ErrorCode::HttpResponseIncomplete");
    assert_eq!(server.seen().len(), 3);
    drop(server);
    let (answers, _) = reach.fetch(json!([to("/")])).await;
    assert_eq!(answers[0]["error"], "ErrorCode::ConnectionRefused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_limit_ends_a_request_and_names_itself() {
    let server = Server::start().await;
    let here = server.address.to_string();
    let options = EgressOptions {
        bytes_in_max: 100_000,
        bytes_out_max: 10_000,
        header_bytes_max: 16 << 10,
        ..EgressOptions::default()
    };
    let limited = |limits: PluginLimits| {
        let grants = Grants { limits, ..grants(&[&format!("http://{here}")], &[LOOPBACK]) };
        through(Egress::new(options), grants)
    };
    let reach = limited(PluginLimits::default());
    let to = |path: &str| json!({ "scheme": "http", "authority": here, "path": path });
    let check = async |reach: &Reach, request: serde_json::Value, error: &str, limit: &str| {
        let (answers, report) = reach.fetch(json!([request])).await;
        let found = answers[0]["error"].as_str().unwrap_or_default();
        assert!(found.contains(error), "{error}: {answers:?}");
        let said = warnings(&report).join("\n");
        assert!(limit.is_empty() || said.contains(limit), "{limit}: {said}");
        report
    };
    let endless = check(
        &reach,
        to("/endless"),
        "HttpResponseBodySize(Some(100000))",
        "the limit http_bytes_in_max is reached: an attempt may have 100000 bytes in response bodies",
    )
    .await;
    assert_eq!(endless.receipt.http_bytes_in, 100_000);
    check(&reach, to("/large?100001"), "HttpResponseBodySize", "http_bytes_in_max").await;
    let large = json!({ "scheme": "http", "authority": here, "method": "POST", "body_bytes": 20_000 });
    check(&reach, large, "HttpRequestBodySize(Some(10000))", "the limit http_bytes_out_max is reached").await;
    check(&reach, to("/headers?40000"), "HttpResponseHeaderSectionSize", "http_header_bytes_max").await;
    check(&reach, to(&format!("/{}", "p".repeat(20_000))), "HttpRequestUriTooLong", "http_header_bytes_max")
        .await;
    let hasty = EgressOptions { first_byte_max: Duration::from_millis(50), ..options };
    let hasty = through(Egress::new(hasty), grants(&[&format!("http://{here}")], &[LOOPBACK]));
    check(&hasty, to("/stall"), "HttpResponseTimeout", "").await;
    let (answers, report) = reach.fetch(json!([{ "scheme": "http", "authority": here, "times": 101 }])).await;
    let done = answers.iter().filter(|answer| answer["status"] == 200).count();
    assert_eq!((done, &answers[100]["error"]), (100, &json!("ErrorCode::HttpRequestDenied")));
    assert!(warnings(&report)[0].contains("http_calls_max is reached: an attempt may have 100 requests"));
    assert_eq!(report.receipt.http_calls, 100);

    // A guest's own, shorter limits count; a plugin's own numbers stand in for the usual ones.
    let own = |path: &str, first_byte_ms: u64| {
        let limits_ms = [60_000, first_byte_ms, 50];
        json!({ "scheme": "http", "authority": here, "path": path, "limits_ms": limits_ms })
    };
    check(&reach, own("/stall", 50), "HttpResponseTimeout", "").await;
    check(&reach, own("/dribble", 60_000), "ErrorCode::ConnectionReadTimeout", "").await;
    let few = limited(PluginLimits {
        http_calls_max: Some(1),
        http_bytes_in_max: Some(4),
        ..PluginLimits::default()
    });
    check(&few, to("/"), "HttpResponseBodySize(Some(4))", "4 bytes in response bodies").await;
    let many = "x".repeat(300);
    let headers: Vec<_> = (0..200).map(|n| json!([format!("x-{n}"), many])).collect();
    let report = few
        .run("fetch", json!({ "requests": [{ "scheme": "http", "authority": here, "headers": headers }] }))
        .await;
    assert_eq!(failed(&report).code.as_deref(), Some("http_header_bytes"));
    eventually(|| reach.executor.connections_free() == 256 && few.executor.connections_free() == 256).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_few_at_a_time_and_come_back_in_every_case() {
    let server = Server::start().await;
    let here = server.address.to_string();
    let bench = |wait: Duration| {
        let options = EgressOptions {
            connect_max: wait,
            connections_max: 2,
            connections_process_max: 3,
            ..EgressOptions::default()
        };
        through(Egress::new(options), grants(&[&format!("http://{here}")], &[LOOPBACK]))
    };
    // It is also what the two that are served may take to connect.
    let reach = bench(Duration::from_secs(10));
    let request = |path: &str, times: usize| json!({ "scheme": "http", "authority": here, "path": path, "times": times });
    let report = reach.run("fetch", json!({ "requests": [request("/", 3)], "keep": true })).await;
    let kept = answers(&report);
    assert_eq!(
        (&kept[1]["status"], &kept[2]["error"]),
        (&json!(200), &json!("ErrorCode::ConnectionLimitReached"))
    );
    assert!(
        warnings(&report)[0]
            .contains("http_connections_max is reached: an attempt may have 2 requests at the same time")
    );
    eventually(|| reach.executor.connections_free() == 3).await;
    // More at once than there is room for: they take turns, in the order in which the guest reads them.
    let reach = bench(Duration::from_secs(60));
    let report = reach.run("fetch", json!({ "requests": [request("/", 20)], "together": true })).await;
    assert!(answers(&report).iter().all(|answer| answer["status"] == 200), "{:?}", answers(&report));
    eventually(|| reach.executor.connections_free() == 3).await;
    // A call that is dropped in the middle of a request gives its place back, too.
    let call = reach.call("fetch", &json!({ "requests": [request("/stall", 1)] }));
    {
        use stepwright_executor::Executor as _;
        let before = server.seen().len();
        let mut running =
            std::pin::pin!(reach.executor.execute(call, stepwright_executor::Control::default()));
        while server.seen().len() == before {
            tokio::select! {
                biased;
                _ = &mut running => panic!("it ended by itself"),
                () = tokio::task::yield_now() => {}
            }
        }
        assert_eq!(reach.executor.connections_free(), 2);
    }
    eventually(|| reach.executor.connections_free() == 3).await;
}

/// A certificate for `name` and its authority's, as PEM.
fn certificate(name: &str) -> (TlsAcceptor, String) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), made.cert.pem())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_proves_the_name_and_the_authority() {
    let (acceptor, authority) = certificate("pay.test");
    let server = Server::secure(acceptor).await;
    let port = server.port();
    let reach = |trusted: bool| {
        let egress = Egress::default().resolving(|_| Ok(vec![IpAddr::from([127, 0, 0, 1])]));
        let egress = if trusted { egress.trusting(authority.as_bytes()).unwrap() } else { egress };
        through(egress, grants(&[&format!("https://*.test:{port}")], &[LOOPBACK]))
    };
    let to = |host: &str| json!([{ "authority": format!("{host}:{port}"), "method": "POST", "body": "b", "path": "/echo" }]);
    let (answers, _) = reach(true).fetch(to("pay.test")).await;
    assert_eq!(answers[0]["status"], 200, "{answers:?}");
    let (answers, _) = reach(true).fetch(to("other.test")).await;
    assert_eq!(answers[0]["error"], "ErrorCode::TlsCertificateError");
    let (answers, _) = reach(false).fetch(to("pay.test")).await;
    assert_eq!(answers[0]["error"], "ErrorCode::TlsCertificateError");
    assert_eq!(server.seen().len(), 1);
    assert!(Egress::default().trusting(b"-----BEGIN NOTHING-----").is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fake_network_answers_from_its_list_and_names_what_it_expected() {
    let answer = FakeAnswer {
        body: Some(FakeBody::Json(json!({ "cents": 5 }))),
        status: 201,
        response_headers: vec![("x-id".to_owned(), "7".to_owned())],
        response_body: b"made".to_vec(),
        ..FakeAnswer::new("POST", "https://api.test/charges")
    };
    let fake = Arc::new(FakeHttp::new(vec![answer]));
    let reach = through(
        Egress::fake(EgressOptions::default(), Arc::clone(&fake)),
        grants(&["https://api.test"], &[]),
    );
    let charge =
        json!({ "authority": "api.test", "path": "/charges", "method": "POST", "body": "{\"cents\": 5}" });
    let other = json!({ "authority": "other.test" });
    let (answers, report) = reach.fetch(json!([charge, charge, other])).await;
    assert_eq!((&answers[0]["status"], &answers[0]["body"]), (&json!(201), &json!("made")));
    assert_eq!(answers[0]["headers"], json!([["x-id", "7"]]));
    assert_eq!(answers[1]["error"], "ErrorCode::HttpRequestDenied");
    let said = warnings(&report);
    assert_eq!(said[0], "POST https://api.test/charges was not expected; expected: nothing more");
    assert!(said[1].starts_with("GET https://other.test was denied: no grant names it."), "{said:?}");
    assert!(fake.unused().is_empty());
    assert_eq!((fake.requests().len(), report.receipt.http_calls, report.receipt.http_bytes_in), (2, 2, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn observing_lets_public_hosts_through_and_notes_everything_that_was_wanted() {
    let server = Server::start().await;
    let here = server.address.to_string();
    let observations = Arc::new(Observations::default());
    let answer = FakeAnswer { repeatedly: true, ..FakeAnswer::new("GET", "https://api.test/") };
    let fake = Egress::fake(EgressOptions::default(), Arc::new(FakeHttp::new(vec![answer])));
    let observed = Reach::with(EngineOptions::default(), Grants::default(), |executor| {
        executor.with_egress(fake).observing(Arc::clone(&observations))
    });
    let (answers, report) = observed.fetch(json!([{ "authority": "api.test", "times": 2 }])).await;
    assert!(answers.iter().all(|answer| answer["status"] == 200), "{answers:?}");
    assert!(warnings(&report).is_empty());
    observed.run("tell", json!({ "secrets": ["key"], "settings": ["region"] })).await;

    let real = Reach::with(EngineOptions::default(), Grants::default(), |executor| {
        executor.observing(Arc::clone(&observations))
    });
    let (answers, _) = real.fetch(json!([{ "scheme": "http", "authority": here }])).await;
    assert_eq!(answers[0]["error"], "ErrorCode::HttpRequestDenied");
    assert!(server.seen().is_empty());
    let suggestions = observations.suggestions();
    assert_eq!(
        suggestions[0].toml,
        format!(
            "[[grants]]\nplugin = \"fixtures/reach\"\nhttp = [\"GET http://{here}\", \"GET https://api.test\"]\n\
             networks = [\"127.0.0.1/32\"]\nsecrets = [{{ name = \"key\", env = \"KEY\" }}]\nsettings = {{\"region\" = \"\"}}"
        )
    );
    let times: Vec<u64> = suggestions[0].wanted.iter().map(|(_, times)| *times).collect();
    assert_eq!(times, [2, 1, 1, 1, 1]);
}
