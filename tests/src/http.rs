//! A client of HTTP/1.1 as small as the tests need: one connection a request.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

/// A server, and the token that is shown to it.
#[derive(Debug, Clone)]
pub struct Client {
    address: String,
    token: Option<String>,
}

/// What a request was answered with.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Headers, their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {} {text}", self.status))
    }
}

impl Client {
    /// For `http://host:port`.
    pub fn new(url: &str) -> Self {
        let address = url.split_once("://").map_or(url, |(_, address)| address).to_owned();
        Self { address, token: None }
    }

    /// The same with a token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.trim().to_owned()), ..self.clone() }
    }

    /// Asks for something.
    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, ("application/json", b""))
    }

    /// Sends JSON.
    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, ("application/json", body.to_string().as_bytes()))
    }

    /// Sends a request over a connection of its own.
    pub fn send(&self, method: &str, path: &str, body: (&str, &[u8])) -> Reply {
        let stream = TcpStream::connect(&self.address).expect("it listens");
        self.send_over(stream, (method, path), body)
    }

    /// Sends a request over a connection that there is.
    pub fn send_over<S: Read + Write>(
        &self,
        mut stream: S,
        (method, path): (&str, &str),
        (kind, body): (&str, &[u8]),
    ) -> Reply {
        let token = self.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n"));
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{}Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            self.address,
            token.unwrap_or_default(),
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("it reads");
        stream.write_all(body).expect("it reads");
        stream.flush().expect("it reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("it answers");
        reply(&answer)
    }
}

fn reply(answer: &[u8]) -> Reply {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(answer[..end].to_vec()).expect("text");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status");
    let header =
        |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let headers: BTreeMap<String, String> = lines.filter_map(header).collect();
    assert!(headers.contains_key("content-length"), "{head}");
    Reply { status: status.parse().expect("a number"), headers, body: answer[end + 4..].to_vec() }
}
