//! The `swath` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|command| command == "maintain")
    {
        swath_maintain::with_one_heap();
    }
    ExitCode::from(swath_local::main(std::env::args_os()).code())
}
