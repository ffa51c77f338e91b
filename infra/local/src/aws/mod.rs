//! A deployment on AWS or on an emulator of it, seen from the command line.

mod arguments;
mod dead_letters;
mod deployment;
mod doctor;
mod emulator;
mod error;
mod package;
mod run_status;
mod status;
mod submit;

pub(crate) use arguments::AwsCommand;
pub(crate) use error::AwsError;

use crate::exit::Exit;
use arguments::DeadLettersCommand;
use deployment::Deployment;

/// Carries out one of the commands that talk to a deployment.
pub(crate) async fn command(command: AwsCommand) -> Result<Exit, AwsError> {
    match command {
        AwsCommand::Up(arguments) => emulator::up(&arguments).await,
        AwsCommand::Down(arguments) => emulator::down(&arguments.state).await,
        AwsCommand::Deploy(arguments) => package::deploy(&arguments),
        AwsCommand::Submit(arguments) => submit::submit(&arguments).await,
        AwsCommand::Status(arguments) => {
            let deployment = Deployment::find(&arguments.deployment).await?;
            match &arguments.run {
                Some(run) => run_status::status(&deployment, run, arguments.json).await,
                None => status::status(&deployment, arguments.json).await,
            }
        }
        AwsCommand::Dlq(arguments) => {
            let deployment = Deployment::find(&arguments.deployment).await?;
            match arguments.command {
                DeadLettersCommand::List => dead_letters::list(&deployment, arguments.json).await,
                DeadLettersCommand::Explain(chosen) => {
                    dead_letters::explain(&deployment, &chosen, arguments.json).await
                }
                DeadLettersCommand::Replay(chosen) => {
                    dead_letters::replay(&deployment, &chosen, arguments.json).await
                }
            }
        }
        AwsCommand::Doctor(arguments) => doctor::doctor(&arguments).await,
    }
}
