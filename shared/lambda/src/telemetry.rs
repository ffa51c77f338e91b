//! Logs: one JSON object per line on standard output.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::env::Env;
use crate::{measure, scrub};

/// Sets up logging for the whole process: `SWATH_LOG` says what is logged (default `info`), secrets are taken out.
///
/// A second call changes nothing.
pub fn init() {
    let wanted = Env::of_process().optional::<String>("SWATH_LOG");
    let wanted = wanted.ok().flatten().unwrap_or_default();
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::INFO.into())
        .parse_lossy(wanted);
    if tracing::subscriber::set_global_default(subscriber(filter, io::stdout)).is_ok() {
        std::panic::set_hook(Box::new(log_panic));
        measure::init();
    }
}

/// Returns what turns events into lines: fields and spans flat in one object, secrets taken out.
pub(crate) fn subscriber<W>(filter: EnvFilter, out: W) -> impl tracing::Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(true)
        .with_env_filter(filter)
        .with_writer(Scrubbing(out))
        .finish()
}

/// Says where a panic happened; what becomes of the message is logged where the panic is caught.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string);
    tracing::error!(panic.location = location, "panicked");
}

struct Scrubbing<W>(W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Scrubbing<W> {
    type Writer = ScrubbingLine<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        ScrubbingLine(self.0.make_writer())
    }
}

/// Writes whole lines, which is how events come.
struct ScrubbingLine<W>(W);

impl<W: Write> Write for ScrubbingLine<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        self.0.write_all(scrub(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Catches log lines, for tests of what is logged.
#[cfg(any(test, feature = "testing"))]
pub mod testing {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

    use tracing_subscriber::EnvFilter;

    use super::subscriber;

    /// Lines that were logged.
    #[derive(Clone, Debug, Default)]
    pub struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Lines {
        /// Returns all lines as they were written.
        pub fn text(&self) -> String {
            String::from_utf8_lossy(&self.bytes()).into_owned()
        }

        fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        /// Returns each line's JSON; a line that is none as text.
        pub fn json(&self) -> Vec<serde_json::Value> {
            self.text()
                .lines()
                .map(|line| serde_json::from_str(line).unwrap_or_else(|_| line.into()))
                .collect()
        }
    }

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.bytes().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Catches what the current thread logs until the guard is dropped.
    pub fn caught() -> (Lines, tracing::subscriber::DefaultGuard) {
        caught_from("info")
    }

    /// Catches what the current thread logs, from this level on, until the guard is dropped.
    pub fn caught_from(level: &str) -> (Lines, tracing::subscriber::DefaultGuard) {
        let lines = Lines::default();
        let out = lines.clone();
        let subscriber = subscriber(EnvFilter::new(level), move || out.clone());
        (lines, tracing::subscriber::set_default(subscriber))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_json_object_without_secrets() {
        let (lines, _guard) = testing::caught();
        let span = tracing::info_span!("message", message.id = "m1");
        span.in_scope(|| tracing::warn!(url = "https://h/?sig=canary", "no"));
        tracing::debug!("too fine");
        let lines = lines.json();
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["message"], "no");
        assert_eq!(lines[0]["url"], "https://h/?sig=[redacted]");
        assert_eq!(lines[0]["spans"][0]["message.id"], "m1");
    }
}
