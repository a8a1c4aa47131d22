//! Events of real processes: streams of them, and webhooks, through failures and a death.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use serde_json::{Value, json};
use stepwright_orchestrator::webhooks::sign;
use stepwright_tests::http::Client;
use stepwright_tests::processes::{Deployment, Process, plugin, template};

fn address(process: &Process) -> String {
    let ready: Value = serde_json::from_str(process.ready()).expect("JSON");
    ready["api"].as_str().expect("it serves the API").to_owned()
}

/// What a task of four steps, one after the other, tells of itself.
const STORY: &[(&str, Option<&str>)] = &[
    ("task.initialized", None),
    ("step.viable", Some("first")),
    ("task.started", None),
    ("step.started", Some("first")),
    ("step.completed", Some("first")),
    ("step.viable", Some("second")),
    ("step.started", Some("second")),
    ("step.completed", Some("second")),
    ("step.viable", Some("third")),
    ("step.started", Some("third")),
    ("step.completed", Some("third")),
    ("step.viable", Some("fourth")),
    ("step.started", Some("fourth")),
    ("step.completed", Some("fourth")),
    ("task.completed", None),
];

/// Reads a stream until an event of this name.
fn stream(url: &str, path: &str, until: &str) -> Vec<Value> {
    let address = url.strip_prefix("http://").expect("plain");
    let mut connection = TcpStream::connect(address).expect("it listens");
    write!(connection, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").expect("it reads");
    let mut events: Vec<Value> = Vec::new();
    for line in BufReader::new(connection).lines() {
        let line = line.expect("it goes on");
        let Some(data) = line.strip_prefix("data: ") else { continue };
        events.push(serde_json::from_str(data).expect("JSON"));
        if events.last().expect("one")["event"] == until {
            return events;
        }
    }
    panic!("the stream ended before {until}: {events:?}")
}

fn told(events: &[Value]) -> Vec<(&str, Option<&str>)> {
    events.iter().map(|event| (event["event"].as_str().expect("a name"), event["step"].as_str())).collect()
}

/// Takes one request, answers it with a status, and returns its id and its event. It is signed with the secret.
fn receive(listener: &TcpListener, secret: &str, status: u16) -> (String, Value) {
    receive_as(listener, secret, |_| status)
}

/// The same with a status for each event.
fn receive_as(listener: &TcpListener, secret: &str, status: impl Fn(&Value) -> u16) -> (String, Value) {
    let (mut connection, _) = listener.accept().expect("somebody comes");
    let mut reader = BufReader::new(connection.try_clone().expect("a handle"));
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line");
        match line.trim().split_once(": ") {
            Some((name, value)) => _ = headers.insert(name.to_lowercase(), value.to_owned()),
            None if line.trim().is_empty() => break,
            None => assert!(line.starts_with("POST /in?shop=1 HTTP/1.1"), "{line}"),
        }
    }
    let mut body = vec![0; headers["content-length"].parse().expect("a number")];
    reader.read_exact(&mut body).expect("the body");
    let body = String::from_utf8(body).expect("text");
    let signed = sign(secret, &headers["webhook-id"], &headers["webhook-timestamp"], &body);
    assert_eq!(Ok(&headers["webhook-signature"]), signed.as_ref());
    let event: Value = serde_json::from_str(&body).expect("JSON");
    let status = status(&event);
    write!(connection, "HTTP/1.1 {status} So\r\nContent-Length: 0\r\n\r\n").expect("it reads");
    (headers["webhook-id"].clone(), event)
}

/// Events until every one of these tasks is complete, by task.
fn receive_all(listener: &TcpListener, secret: &str, tasks: usize) -> BTreeMap<i64, Vec<Value>> {
    let (mut by_task, mut complete) = (BTreeMap::<i64, Vec<Value>>::new(), 0);
    while complete < tasks {
        let (_, event) = receive(listener, secret, 204);
        complete += usize::from(event["event"] == "task.completed");
        by_task.entry(event["task"].as_i64().expect("a task")).or_default().push(event);
    }
    by_task
}

#[test]
fn everything_that_happens_is_told_in_order_and_none_is_lost() {
    let deployment = Deployment::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let place = listener.local_addr().expect("a place");
    let url = format!("http://{place}/in?shop=1");
    let refused = deployment.output(&["webhook", "add", "shop", &url]);
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && why.contains("webhooks.networks"), "{why}");

    let start = || deployment.start(&["--json", "dev", "--set", "webhooks.networks=127.0.0.0/8"]);
    let dev = start();
    let api = address(&dev);
    let client = Client::new(&api);
    deployment.succeed(&["plugin", "add", &plugin("shapes")]);
    deployment.succeed(&["template", "add", &template("linear_4")]);
    let made = deployment.json(&[
        "webhook",
        "add",
        "shop",
        &url,
        "--event",
        "task.*",
        "--event",
        "step.completed",
        "--set",
        "webhooks.networks=127.0.0.0/8",
    ]);
    let secret = made["secret"].as_str().expect("a secret").to_owned();
    assert!(!deployment.succeed(&["webhook", "list"]).contains(&secret), "a secret is shown once");
    let run = || {
        let order = json!({ "template": "shapes/linear_4", "context": { "n": 4 } });
        client.post("/v1/tasks", &order).json()["id"].as_i64().expect("a task")
    };
    let id = run();

    // The stream: from the task's beginning to its end, and again from the middle.
    let events = stream(&api, &format!("/v1/events?task={id}"), "task.completed");
    assert_eq!(told(&events), STORY);
    let middle = events[6]["position"].as_str().expect("a position");
    let rest = stream(&api, &format!("/v1/events?task={id}&after={middle}"), "task.completed");
    assert_eq!(rest, events[7..]);
    let (batch, worker) = (&events[3]["batch"], &events[3]["worker"]);
    assert!(batch.is_i64() && worker.is_i64() && events[4]["attempt"] == 1, "{}", events[3]);

    // The webhook: what is not taken comes again, and nothing of the same task before it.
    let (first, refused) = receive(&listener, &secret, 500);
    let (again, event) = receive(&listener, &secret, 200);
    assert_eq!((&first, &refused, &event["event"]), (&again, &event, &json!("task.initialized")));
    let wanted = |events: &[Value]| -> Vec<Value> {
        let wanted = events.iter().filter(|event| {
            let name = event["event"].as_str().expect("a name");
            name.starts_with("task.") || name == "step.completed"
        });
        wanted.cloned().collect()
    };
    let story = wanted(&events);
    for expected in &story[1..] {
        assert_eq!(&receive(&listener, &secret, 202).1, expected);
    }
    let many: Vec<i64> = (0..5).map(|_| run()).collect();
    let by_task = receive_all(&listener, &secret, many.len());
    for task in &many {
        assert_eq!(told(&by_task[task]), told(&story));
    }

    // What is refused holds up its own task, and no other.
    let (stuck, other) = (run(), run());
    loop {
        let (_, event) =
            receive_as(&listener, &secret, |event| if event["task"] == stuck { 500 } else { 200 });
        assert!(event["task"] != stuck || event["event"] == "task.initialized", "{event}");
        if event["task"] == other && event["event"] == "task.completed" {
            break;
        }
    }
    assert_eq!(told(&receive_all(&listener, &secret, 1)[&stuck]), told(&story));

    // Nobody takes anything, and the process dies: whoever comes next tells it.
    let id = run();
    assert_eq!(client.get(&format!("/v1/tasks/{id}/wait?timeout=1m")).json()["state"], "complete");
    dev.kill();
    listener.set_nonblocking(true).expect("a listener");
    while listener.accept().is_ok() {}
    listener.set_nonblocking(false).expect("a listener");
    let dev = start();
    let by_task = receive_all(&listener, &secret, 1);
    assert_eq!(told(&by_task[&id]), told(&story));

    // A receiver that wants no more says so.
    let client = Client::new(&address(&dev));
    let order = json!({ "template": "shapes/linear_4", "context": { "n": 4 } });
    client.post("/v1/tasks", &order);
    receive(&listener, &secret, 410);
    let listed = loop {
        let listed = client.get("/v1/webhooks/shop").json();
        if listed["enabled"] == false {
            break listed;
        }
    };
    assert!(listed["failure"].as_str().expect("why").contains("410"), "{listed}");
    assert_eq!(client.send("POST", "/v1/webhooks/shop/enable", ("application/json", b"")).status, 200);
    assert_eq!(receive(&listener, &secret, 200).1["event"], "task.initialized");
    deployment.succeed(&["webhook", "remove", "shop"]);
    assert_eq!(client.get("/v1/webhooks/shop").json()["code"], "webhook_not_found");
    assert_eq!(dev.terminate(), Some(0));
}
