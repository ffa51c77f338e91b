//! A program of the user's own that signs: href in, href out.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use swath_core::Class;
use url::Url;

use crate::fetch::{Sign, SignError, Signed};

/// How long the program may take for one href.
const LONGEST: Duration = Duration::from_mins(1);
/// Bytes of its answer that are read.
const LARGEST: u64 = 64 << 10;

/// Runs a program, without a shell, with the href as its one argument; the first line it prints is fetched instead.
#[derive(Clone, Debug)]
pub struct Command {
    program: PathBuf,
}

impl Command {
    /// Takes the program.
    pub fn new(program: PathBuf) -> Self {
        Self { program }
    }
}

#[async_trait]
impl Sign for Command {
    async fn sign(&self, href: &Url) -> Result<Signed, SignError> {
        let (program, asked) = (self.program.clone(), href.clone());
        let answer = tokio::task::spawn_blocking(move || run(&program, &asked)).await;
        let answer = answer.unwrap_or_else(|gone| Err(failure(href, Class::Bug, gone.to_string())));
        Url::parse(answer?.trim())
            .map(Signed::plain)
            .map_err(|error| {
                let reason = format!("the command's answer is no absolute address: {error}");
                failure(href, Class::Denied, reason)
            })
    }

    /// The program is asked for every attempt anyway.
    async fn renew(&self, _href: &Url, _used: &Signed) -> bool {
        true
    }
}

fn run(program: &Path, href: &Url) -> Result<String, SignError> {
    let failed = |class, what: &str, error: std::io::Error| {
        failure(
            href,
            class,
            format!("{} {what}: {error}", program.display()),
        )
    };
    let mut child = std::process::Command::new(program)
        .arg(href.as_str())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(Class::Denied, "cannot be run", error))?;
    let answer = child.stdout.take().map(|stdout| {
        std::thread::spawn(move || {
            let mut text = String::new();
            let read = stdout.take(LARGEST).read_to_string(&mut text);
            read.map(|_| text)
        })
    });
    let status = wait(&mut child).map_err(|error| failed(Class::Transient, "failed", error))?;
    if !status.success() {
        let reason = format!("{} ended with {status}", program.display());
        return Err(failure(href, Class::Transient, reason));
    }
    let text = answer.and_then(|answer| answer.join().ok()?.ok());
    let line = text.as_deref().and_then(|text| text.lines().next());
    Ok(line.unwrap_or_default().to_owned())
}

#[allow(
    clippy::disallowed_methods,
    reason = "a blocking thread looks at a child process now and then"
)]
fn wait(child: &mut Child) -> std::io::Result<std::process::ExitStatus> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if began.elapsed() > LONGEST {
            child.kill()?;
            child.wait()?;
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn failure(href: &Url, class: Class, reason: String) -> SignError {
    SignError {
        class,
        ..SignError::denied(href, reason)
    }
}
