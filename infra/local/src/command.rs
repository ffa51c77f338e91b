//! From the command line to an exit code.

use std::ffi::OsString;
use std::io::Write as _;

use clap::Parser as _;
use swath_core::chain;

use crate::cli::{Cli, Command};
use crate::exit::Exit;
use crate::run::CommandError;
use crate::{
    aws, census, collections, decode, demo, diff, download, encode, ingest, itemize, lake, repair,
    run, search, serve_items, validate,
};

/// Runs the command that the arguments name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too; a closed terminal is no reason to fail.
            let _ignored = error.print();
            return if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
        }
    };
    init_logs();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&CommandError::Runtime(error)),
    };
    match runtime.block_on(dispatch(cli.command)) {
        Ok(exit) => exit,
        Err(error) => fail(&error),
    }
}

async fn dispatch(command: Command) -> Result<Exit, CommandError> {
    match command {
        Command::Run(arguments) => run::command(arguments).await,
        Command::Search(arguments) => search::command(*arguments).await,
        Command::Ingest(arguments) => ingest::command(*arguments).await,
        Command::Runs(arguments) => ingest::runs_command(arguments).await,
        Command::Quarantine(command) => ingest::quarantine(command).await,
        Command::Collections(arguments) => collections::command(&arguments).await,
        Command::Download(arguments) => download::command(*arguments).await,
        Command::Repair(arguments) => repair::command(*arguments).await,
        Command::Demo(arguments) => demo::demo(arguments).await,
        Command::ServeItems(arguments) => serve_items::serve_items(arguments).await,
        Command::Encode(arguments) => encode::command::command(arguments),
        Command::Decode(arguments) => decode::command(&arguments),
        Command::Itemize(arguments) => itemize::command(*arguments).await,
        Command::Diff(arguments) => diff::command(arguments).await,
        Command::Census(arguments) => census::command(*arguments).await,
        Command::Validate(arguments) => Ok(validate::validate(&arguments)),
        Command::Lake(command) => lake::command(command).await,
        Command::Aws(command) => aws::command(command).await.map_err(CommandError::Aws),
    }
}

fn fail(error: &CommandError) -> Exit {
    let _ignored = writeln!(std::io::stderr().lock(), "swath: {}", chain(error));
    error.exit()
}

/// Logs go to standard error; `SWATH_LOG` sets the filter, warnings by default.
fn init_logs() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("SWATH_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}
