//! A web server that answers by script, for tests: each request's answer is chosen by a function, and every byte of it
//! is ours to leave out.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::clock::{Clock as _, SystemClock};

/// Prints what became of an injected fault: `ID fault expected got`.
#[allow(
    clippy::print_stdout,
    reason = "tests tell their figures on standard output"
)]
pub fn say(id: &str, fault: &str, expected: &str, got: impl std::fmt::Display) {
    println!("{id} {fault}: expected {expected}, got {got}");
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its path and query.
    pub path: String,
    /// Its place among all requests for its path, from 0.
    pub number: usize,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Request {
    /// Returns a header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find_map(|(key, value)| (key == name).then_some(value.as_str()))
    }

    /// Returns the first byte asked for.
    pub fn from_byte(&self) -> Option<usize> {
        let range = self.header("range")?.strip_prefix("bytes=")?;
        range.strip_suffix('-')?.parse().ok()
    }
}

/// An answer; by default whole, with its `Content-Length`.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Bytes,
    sent: usize,
    pause: Option<Duration>,
}

impl Answer {
    /// Answers with a status and a body.
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let length = ("content-length".to_owned(), body.len().to_string());
        Self {
            status,
            headers: vec![length],
            sent: body.len(),
            body,
            pause: None,
        }
    }

    /// Answers as a file server does that knows ranges: 206 from the byte asked for while the tag is the same.
    pub fn file(request: &Request, body: &Bytes, etag: &str) -> Self {
        let same = request.header("if-range").is_none_or(|tag| tag == etag);
        let answer = match request.from_byte().filter(|_| same) {
            Some(first) if first >= body.len() => {
                Self::new(416, "").header("content-range", format!("bytes */{}", body.len()))
            }
            Some(first) => {
                let last = body.len() - 1;
                let range = format!("bytes {first}-{last}/{}", body.len());
                Self::new(206, body.slice(first..)).header("content-range", range)
            }
            None => Self::new(200, body.clone()),
        };
        answer.header("etag", etag)
    }

    /// Adds a header, or replaces it.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.retain(|(key, _)| key != name);
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Leaves a header out.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(key, _)| key != name);
        self
    }

    /// Closes the connection after so many bytes of the body.
    #[must_use]
    pub fn cut_at(mut self, bytes: usize) -> Self {
        self.sent = bytes.min(self.body.len());
        self
    }

    /// Sends the body byte by byte with a pause before each.
    #[must_use]
    pub fn trickle(mut self, pause: Duration) -> Self {
        self.pause = Some(pause);
        self
    }

    async fn send(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {} Scripted\r\nconnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).await?;
        let body = self.body.slice(..self.sent);
        match self.pause {
            None => stream.write_all(&body).await?,
            Some(pause) => {
                for byte in body {
                    SystemClock.sleep(pause).await;
                    stream.write_all(&[byte]).await?;
                }
            }
        }
        stream.shutdown().await
    }
}

/// A server on a port of its own, gone when dropped.
#[derive(Debug)]
pub struct ScriptedServer {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ScriptedServer {
    /// Starts a server that answers every request as `script` says.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(
        script: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (script, log) = (Arc::new(script), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, log) = (Arc::clone(&script), Arc::clone(&log));
                tokio::spawn(async move { serve(stream, script.as_ref(), &log).await });
            }
        });
        Ok(Self {
            address,
            seen,
            task,
        })
    }

    /// Returns the address of a path on it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Returns every request so far, in order.
    pub fn seen(&self) -> Vec<Request> {
        lock(&self.seen).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(
    mut stream: TcpStream,
    script: &(impl Fn(&Request) -> Answer + ?Sized),
    log: &Mutex<Vec<Request>>,
) {
    let Some(head) = read_head(&mut stream).await else {
        return;
    };
    let answer = {
        let mut seen = lock(log);
        let Some(mut request) = parse(&head) else {
            return;
        };
        request.number = seen
            .iter()
            .filter(|other| other.path == request.path)
            .count();
        seen.push(request.clone());
        script(&request)
    };
    // A client that hung up is part of the script.
    drop(answer.send(&mut stream).await);
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

fn parse(head: &str) -> Option<Request> {
    let mut lines = head.split("\r\n");
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    Some(Request {
        path,
        number: 0,
        headers,
    })
}
