//! The `swath` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(swath_local::main(std::env::args_os()).code())
}
