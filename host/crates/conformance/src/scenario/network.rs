//! Guests 15, 16 and 17: requests, to servers of this process that behave as badly as the guests.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use stepwright_executor::grants::HttpGrant;
use stepwright_executor::{Egress, EgressOptions, Grants};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::attack::{AMPLE, Attack, Expected, Seen, Step};
use crate::ground::{Ground, egress_options};

/// Hosts in every spelling that leads to this machine, to a private network or to a metadata service. Each is granted by name.
const HOSTS: &[&str] = &[
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "localhost",
    "localhost.",
    "LOCALHOST",
    "inside.example",
    "INSIDE.example.",
    "mixed.example",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "169.254.169.254",
    "[::ffff:169.254.169.254]",
    "169.254.170.2",
    "100.100.100.200",
    "192.0.0.192",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "user@127.0.0.1",
    "user:word@inside.example",
];
/// The same as grants write them.
const GRANTED: &[&str] = &[
    "127.0.0.1",
    "0.0.0.0",
    "::1",
    "::",
    "64:ff9b::7f00:1",
    "localhost",
    "inside.example",
    "mixed.example",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "192.0.0.192",
    "fd00:ec2::254",
    "fe80::1",
];
/// Requests of the one that makes too many.
const BURST: usize = 10_000;

pub(super) fn network() -> Vec<Attack> {
    let other = Attack::other;
    vec![
        Step::hostile("dial").expect("sockets", Expected::completed("[]")),
        Step::hostile("call")
            .told("{\"authorities\":[\"127.0.0.1:80\",\"example.com\"]}")
            .expect("requests, nothing granted", Expected::completed("[]")),
        other(
            "thirty spellings, each host granted by name",
            |ground| Box::pin(spellings(ground)),
            Expected::completed("[] answered, 0 connections"),
        ),
        other(
            "a name that leads elsewhere at the second look",
            |ground| Box::pin(rebinding(ground)),
            Expected::completed("1 look-ups, 1 connections"),
        ),
        other(
            "a redirect to a metadata service",
            |ground| Box::pin(served(ground, redirect)),
            Expected::completed("status 302, 0 bytes, 1 connections"),
        ),
    ]
}

pub(super) fn responses() -> Vec<Attack> {
    let step =
        |name, serve: crate::attack::Other, text| Attack::other(name, serve, Expected::completed(text));
    vec![
        nothing_granted("swallow", "HttpRequestDenied"),
        step("a body without an end", |ground| Box::pin(served(ground, endless)), "HttpResponseBodySize"),
        step(
            "headers without an end",
            |ground| Box::pin(served(ground, endless_headers)),
            "HttpResponseHeader",
        ),
        step(
            "no answer",
            |ground| {
                let options = EgressOptions { first_byte_max: PAUSE, ..egress_options() };
                Box::pin(served_within(ground, silent, AMPLE, options))
            },
            "Timeout",
        )
        .within(PAUSE),
        step(
            "a body that stops in the middle",
            |ground| {
                let options = EgressOptions { between_bytes_max: PAUSE, ..egress_options() };
                Box::pin(served_within(ground, stopped, AMPLE, options))
            },
            "ConnectionReadTimeout",
        )
        .within(PAUSE),
        Attack::other(
            "a byte now and then",
            |ground| Box::pin(served_within(ground, dribbling, WAIT, egress_options())),
            Expected { class: "timeout", code: "wall_clock", text: "" },
        )
        .within(WAIT),
        // Nothing unpacks it: the guest gets what came over the wire.
        step(
            "a gigabyte of zeroes, compressed",
            |ground| Box::pin(served(ground, compressed)),
            "status 200, 1024 bytes",
        ),
    ]
}

pub(super) fn requests() -> Vec<Attack> {
    let most = Expected::completed("at most 4 connections at once, 0 open");
    vec![
        nothing_granted("burst", "0"),
        Attack::other("ten thousand at once", |ground| Box::pin(burst(ground)), most),
    ]
}

fn nothing_granted(handler: &'static str, text: &'static str) -> Attack {
    let step = Step::hostile(handler).told("{\"authorities\":[\"127.0.0.1:80\"],\"n\":10}");
    step.expect("nothing granted", Expected::completed(text))
}

/// The longest pause of a server that falls silent.
const PAUSE: Duration = Duration::from_millis(200);
/// The timeout of a step that reads a response without a pause and without an end.
const WAIT: Duration = Duration::from_secs(1);

/// A server on a port of its own, for as long as it is held.
struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    // Aborted when it is dropped.
    _tasks: JoinSet<()>,
}

impl Server {
    async fn start<F>(serve: fn(TcpStream) -> F) -> io::Result<Self>
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let [connections, most, open] = [0, 0, 0].map(|zero| Arc::new(AtomicUsize::new(zero)));
        let counters = (Arc::clone(&connections), Arc::clone(&most), Arc::clone(&open));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let (connections, most, open) = counters;
            let mut serving = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::Relaxed);
                most.fetch_max(open.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                let open = Arc::clone(&open);
                serving.spawn(async move {
                    // A guest that was ended closes its connection: an error here is the good end.
                    let _ = serve(stream).await;
                    open.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        Ok(Self { port, connections, most, open, _tasks: tasks })
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// This server, under these names.
fn granted(port: u16, hosts: &[&str], loopback: bool) -> Grants {
    let grant = |host: &&str| HttpGrant { methods: Vec::new(), plain: true, host: (*host).to_owned(), port };
    let networks = if loopback { ipnet_loopback() } else { Vec::new() };
    Grants { http: hosts.iter().map(grant).collect(), networks, ..Grants::default() }
}

fn ipnet_loopback() -> Vec<ipnet::IpNet> {
    vec![IpAddr::V4(Ipv4Addr::LOCALHOST).into()]
}

async fn spellings(ground: Arc<Ground>) -> Result<Seen, String> {
    let server = Server::start(honest).await.map_err(|error| error.to_string())?;
    let authorities: Vec<String> = HOSTS.iter().map(|host| format!("\"{host}:{}\"", server.port)).collect();
    let step = Step::hostile("call").told(format!("{{\"authorities\":[{}]}}", authorities.join(",")));
    let egress = Egress::new(egress_options()).resolving(|name| {
        let public = IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8));
        let private = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Ok(if name.starts_with("mixed") { vec![private, public] } else { vec![private] })
    });
    let report = ground.execute_outside(&step, granted(server.port, GRANTED, false), egress).await?;
    let seen = Seen::step(&report);
    let text = format!("{} answered, {} connections", seen.text, server.connections());
    Ok(Seen { text, ..seen })
}

/// The first answer is a granted address; whoever asked again would be sent elsewhere.
async fn rebinding(ground: Arc<Ground>) -> Result<Seen, String> {
    let server = Server::start(honest).await.map_err(|error| error.to_string())?;
    let looked_up = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&looked_up);
    let egress = Egress::new(egress_options()).resolving(move |_| {
        let last = if counter.fetch_add(1, Ordering::Relaxed) == 0 { 1 } else { 2 };
        Ok(vec![IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))])
    });
    let step = Step::hostile("call").told(format!("{{\"authorities\":[\"twice.example:{}\"]}}", server.port));
    let report =
        ground.execute_outside(&step, granted(server.port, &["twice.example"], true), egress).await?;
    let seen = Seen::step(&report);
    let text =
        format!("{} look-ups, {} connections", looked_up.load(Ordering::Relaxed), server.connections());
    Ok(Seen { text, ..seen })
}

/// Has a guest read one response, with time enough.
async fn served<F>(ground: Arc<Ground>, serve: fn(TcpStream) -> F) -> Result<Seen, String>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    served_within(ground, serve, AMPLE, egress_options()).await
}

/// The same within this time and these limits.
async fn served_within<F>(
    ground: Arc<Ground>,
    serve: fn(TcpStream) -> F,
    timeout: Duration,
    options: EgressOptions,
) -> Result<Seen, String>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let server = Server::start(serve).await.map_err(|error| error.to_string())?;
    let mut step =
        Step::hostile("swallow").told(format!("{{\"authorities\":[\"127.0.0.1:{}\"]}}", server.port));
    step.timeout = timeout;
    let grants = granted(server.port, &["127.0.0.1"], true);
    let report = ground.execute_outside(&step, grants, Egress::new(options)).await?;
    let seen = Seen::step(&report);
    let text = format!("{}, {} connections", seen.text.trim_matches('"'), server.connections());
    Ok(Seen { text, ..seen })
}

async fn burst(ground: Arc<Ground>) -> Result<Seen, String> {
    let server = Server::start(honest).await.map_err(|error| error.to_string())?;
    let port = server.port;
    let step =
        Step::hostile("burst").told(format!("{{\"authorities\":[\"127.0.0.1:{port}\"],\"n\":{BURST}}}"));
    let egress = Egress::new(egress_options());
    let report = ground.execute_outside(&step, granted(port, &["127.0.0.1"], true), egress).await?;
    let seen = Seen::step(&report);
    // The sockets are closed by then, and the server hears of it in its own time.
    while server.open.load(Ordering::Relaxed) > 0 {
        tokio::task::yield_now().await;
    }
    let most = server.most.load(Ordering::Relaxed);
    let few = usize::try_from(egress_options().connections_max).unwrap_or(0);
    let most = if most <= few { format!("at most {few}") } else { most.to_string() };
    // Whether it was ended for its handles or told no is the same to the host.
    Ok(Seen::completed(format!("{most} connections at once, 0 open; {} ({})", seen.class, seen.code)))
}

/// Reads a request's headers.
async fn request(stream: &mut TcpStream) -> io::Result<()> {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        read.push(stream.read_u8().await?);
    }
    Ok(())
}

async fn honest(mut stream: TcpStream) -> io::Result<()> {
    request(&mut stream).await?;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await?;
    until_closed(stream).await
}

async fn redirect(mut stream: TcpStream) -> io::Result<()> {
    request(&mut stream).await?;
    let head = b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest/meta-data/\r\ncontent-length: 0\r\n\r\n";
    stream.write_all(head).await?;
    until_closed(stream).await
}

async fn endless(mut stream: TcpStream) -> io::Result<()> {
    request(&mut stream).await?;
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    loop {
        stream.write_all(&[b'x'; 4_096]).await?;
    }
}

async fn endless_headers(mut stream: TcpStream) -> io::Result<()> {
    request(&mut stream).await?;
    stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
    loop {
        stream.write_all(b"x-more: and more and more\r\n").await?;
    }
}

async fn silent(mut stream: TcpStream) -> io::Result<()> {
    request(&mut stream).await?;
    until_closed(stream).await
}

async fn stopped(mut stream: TcpStream) -> io::Result<()> {
    request(&mut stream).await?;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await?;
    until_closed(stream).await
}

async fn dribbling(mut stream: TcpStream) -> io::Result<()> {
    request(&mut stream).await?;
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    loop {
        stream.write_all(b"x").await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn compressed(mut stream: TcpStream) -> io::Result<()> {
    request(&mut stream).await?;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1024\r\n\r\n").await?;
    stream.write_all(&[0; 1_024]).await?;
    until_closed(stream).await
}

async fn until_closed(mut stream: TcpStream) -> io::Result<()> {
    while stream.read(&mut [0; 64]).await? > 0 {}
    Ok(())
}
