//! `swath up` and `swath down`: an emulator of AWS on this machine.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use swath_cloud::clock::{Clock as _, SystemClock};
use swath_cloud::http::{self, Timeouts};

use super::arguments::UpArgs;
use super::error::AwsError;
use super::package::{Tools, build_for_here, keep, kept, run};
use crate::exit::Exit;
use crate::run::print_text;

/// The file that names the emulator's process.
const PROCESS: &str = "emulator.pid";

/// How long the emulator may take to start or to end, in steps.
const STEP: Duration = Duration::from_millis(250);
const STEPS: u32 = 120;

/// Starts the emulator unless it runs, and deploys to it.
pub(super) async fn up(arguments: &UpArgs) -> Result<Exit, AwsError> {
    let tools = Tools::install(&arguments.how.state)?;
    let endpoint = format!("http://127.0.0.1:{}", arguments.port);
    if !answers(&endpoint).await {
        start(&tools, arguments, &endpoint)?;
        if !await_answer(&endpoint, true).await {
            let log = tools.path("emulator.log");
            return Err(AwsError::Silent { endpoint, log });
        }
    }
    let functions = match &arguments.how.functions {
        Some(folder) => folder.clone(),
        None => build_for_here(&arguments.how)?,
    };
    let mut python = tools.python();
    python.arg(&arguments.how.name);
    for (name, value) in credentials(&endpoint, &arguments.region) {
        python.env(name, value);
    }
    tools.deploy(python, &arguments.how, &functions)?;
    let exports = credentials(&endpoint, &arguments.region)
        .map(|(name, value)| format!("export {name}={value}\n"));
    print_text(&format!(
        "\nfor swath and the AWS tools in this shell:\n{}",
        exports.concat()
    ));
    Ok(Exit::Done)
}

/// Ends the emulator; what it held is gone.
pub(super) async fn down(state: &Path) -> Result<Exit, AwsError> {
    let noted = state.join(PROCESS);
    let Ok(text) = std::fs::read_to_string(&noted) else {
        print_text("no emulator was started here\n");
        return Ok(Exit::Done);
    };
    let (id, endpoint) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    if is_emulator(id) {
        run(Command::new("kill").arg(id), "ending the emulator")?;
        if !await_answer(endpoint, false).await {
            let (endpoint, log) = (endpoint.to_owned(), state.join("emulator.log"));
            return Err(AwsError::Silent { endpoint, log });
        }
    }
    std::fs::remove_file(&noted).map_err(kept(&noted))?;
    let home = state.join("emulator");
    if home.exists() {
        std::fs::remove_dir_all(&home).map_err(kept(&home))?;
    }
    Ok(Exit::Done)
}

/// Returns whether a process is the emulator: its number may have gone to another since.
fn is_emulator(id: &str) -> bool {
    let number = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    let line = std::fs::read(format!("/proc/{id}/cmdline"));
    number && line.is_ok_and(|line| String::from_utf8_lossy(&line).contains("ministack"))
}

fn start(tools: &Tools, arguments: &UpArgs, endpoint: &str) -> Result<(), AwsError> {
    use std::os::unix::process::CommandExt as _;
    let home = tools.path("emulator");
    let scratch = home.join("tmp");
    std::fs::create_dir_all(&scratch).map_err(kept(&scratch))?;
    let log = tools.path("emulator.log");
    let out = File::create(&log).map_err(kept(&log))?;
    let errors = out.try_clone().map_err(kept(&log))?;
    let program = tools.bin("ministack");
    let mut server = Command::new(&program);
    // Functions inherit what the server has: nothing of the user's may be in it.
    server.env_clear().current_dir(&home).process_group(0);
    server.env("PATH", "/usr/bin:/bin").env("HOME", &home);
    server.env("TMPDIR", &scratch);
    server.env("STATE_DIR", home.join("state"));
    server.env("S3_DATA_DIR", home.join("s3"));
    server.env("GATEWAY_PORT", arguments.port.to_string());
    server.env("MINISTACK_REGION", &arguments.region);
    server.env("AWS_ENDPOINT_URL", endpoint);
    server.env("BIND_HOST", "127.0.0.1").env("AUTH", "true");
    server.env("SFTP_ENABLED", "0").env("IOT_MTLS_ENABLED", "0");
    server.stdin(Stdio::null()).stdout(out).stderr(errors);
    let process = server.spawn().map_err(|source| AwsError::Start {
        program: program.display().to_string(),
        what: "the emulator",
        source,
    })?;
    let noted = tools.path(PROCESS);
    keep(&noted, &format!("{} {endpoint}\n", process.id()))
}

/// Waits until the emulator answers, or until it no longer does; returns whether that came.
async fn await_answer(endpoint: &str, wanted: bool) -> bool {
    for _ in 0..STEPS {
        if answers(endpoint).await == wanted {
            return true;
        }
        SystemClock.sleep(STEP).await;
    }
    false
}

async fn answers(endpoint: &str) -> bool {
    let Ok(client) = http::for_apis(Timeouts::default()) else {
        return false;
    };
    let health = client.get(format!("{endpoint}/_ministack/health"));
    health
        .send()
        .await
        .is_ok_and(|answer| answer.status().is_success())
}

/// The environment of whoever talks to the emulator as its root, and to nobody else.
fn credentials(endpoint: &str, region: &str) -> [(&'static str, String); 8] {
    [
        ("AWS_ENDPOINT_URL", endpoint.to_owned()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ("AWS_REGION", region.to_owned()),
        ("AWS_DEFAULT_REGION", region.to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
    ]
}
