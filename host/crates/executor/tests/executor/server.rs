//! A small HTTP server on a real socket, well-behaved and otherwise.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Answers by path until it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::serve(None).await
    }

    pub(crate) async fn secure(acceptor: TlsAcceptor) -> Self {
        Self::serve(Some(acceptor)).await
    }

    async fn serve(acceptor: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, mut tasks) = (Arc::<Mutex<Vec<String>>>::default(), JoinSet::new());
        let noted = Arc::clone(&seen);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (noted, acceptor) = (Arc::clone(&noted), acceptor.clone());
                connections.spawn(async move {
                    // A client that breaks off is what some tests are about.
                    let _ = match acceptor {
                        None => answer(stream, &noted).await,
                        Some(acceptor) => match acceptor.accept(stream).await {
                            Ok(stream) => answer(stream, &noted).await,
                            Err(error) => Err(error),
                        },
                    };
                });
            }
        });
        Self { address, seen, _tasks: tasks }
    }

    /// Every request so far: head and body as they came.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    noted: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut head, mut length, mut chunked) = (String::new(), 0, false);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        chunked |= lower.starts_with("transfer-encoding: chunked");
        head.push_str(&line);
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    while chunked {
        let mut size = String::new();
        stream.read_line(&mut size).await?;
        let Ok(size) = usize::from_str_radix(size.trim(), 16) else { break };
        let mut chunk = vec![0; size + 2];
        stream.read_exact(&mut chunk).await?;
        body.extend_from_slice(&chunk[..size]);
        chunked = size > 0;
    }
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    noted.lock().unwrap().push(format!("{head}{}", String::from_utf8_lossy(&body)));
    let (path, number) = path.split_once('?').unwrap_or((&path, ""));
    let number: usize = number.parse().unwrap_or(0);
    let whole = |head: &str, body: &[u8]| {
        let mut text = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
        text.extend_from_slice(body);
        text
    };
    match path {
        "/echo" => {
            stream
                .write_all(&whole("200 OK", format!("{head}{}", String::from_utf8_lossy(&body)).as_bytes()))
                .await?;
        }
        "/redirect" => {
            stream.write_all(&whole("302 Found\r\nlocation: http://169.254.169.254/", b"")).await?;
        }
        "/packed" => stream.write_all(&whole("200 OK\r\ncontent-encoding: gzip", b"as it is")).await?,
        "/large" => stream.write_all(&whole("200 OK", &vec![b'x'; number])).await?,
        "/headers" => {
            stream.write_all(&whole(&format!("200 OK\r\nx-large: {}", "h".repeat(number)), b"")).await?;
        }
        "/endless" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
            loop {
                stream.write_all(format!("1000\r\n{}\r\n", "e".repeat(0x1000)).as_bytes()).await?;
            }
        }
        "/dribble" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nd").await?;
            stream.flush().await?;
            std::future::pending::<()>().await;
        }
        "/stall" => std::future::pending::<()>().await,
        "/close" => {}
        _ => stream.write_all(&whole("200 OK\r\nx-from: server", b"hello")).await?,
    }
    stream.flush().await
}
