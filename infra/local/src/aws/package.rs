//! `swath deploy`: functions built, packed and handed to `CloudFormation`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::arguments::{DeployArgs, Function, PackageArgs};
use super::error::AwsError;
use crate::exit::Exit;

const TEMPLATE: &str = include_str!("../../../template.yaml");
const DEPLOY: &str = include_str!("../../../tools/deploy.py");

/// What `swath up` and `swath deploy` take from `PyPI`; nothing of it runs on AWS.
const TOOLS: [&str; 3] = [
    "aws-sam-translator==1.115.0",
    "boto3==1.43.106",
    "ministack==1.5.33",
];

/// Deploys to AWS with the environment's credentials and region.
pub(super) fn deploy(arguments: &DeployArgs) -> Result<Exit, AwsError> {
    let tools = Tools::install(&arguments.how.state)?;
    let mut python = tools.python();
    python.arg(&arguments.how.name);
    if arguments.delete {
        python.arg("--delete");
        return run(&mut python, "taking the stack away").map(|()| Exit::Done);
    }
    let functions = match &arguments.how.functions {
        Some(folder) => folder.clone(),
        None => build_for_aws(&arguments.how)?,
    };
    tools.deploy(python, &arguments.how, &functions)?;
    Ok(Exit::Done)
}

/// The Python environment that deploys.
pub(super) struct Tools {
    state: PathBuf,
}

impl Tools {
    /// Makes the environment once.
    pub(super) fn install(state: &Path) -> Result<Self, AwsError> {
        std::fs::create_dir_all(state).map_err(kept(state))?;
        let state = state.canonicalize().map_err(kept(state))?;
        let tools = Self { state };
        let stamp = tools.state.join("tools.txt");
        let wanted = TOOLS.join("\n");
        if std::fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
            return Ok(tools);
        }
        let venv = tools.state.join("tools");
        let mut make = Command::new("python3");
        make.args(["-m", "venv", "--clear"]).arg(&venv);
        run(&mut make, "making a Python environment")?;
        let mut pip = Command::new(tools.bin("pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check"]);
        run(pip.args(TOOLS), "installing what deploys")?;
        keep(&stamp, &wanted)?;
        Ok(tools)
    }

    /// Returns where the environment has a program.
    pub(super) fn bin(&self, program: &str) -> PathBuf {
        self.state.join("tools/bin").join(program)
    }

    /// Returns the absolute path of what is kept beside the tools.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.state.join(name)
    }

    /// Returns the interpreter, which is to run the deploying script.
    pub(super) fn python(&self) -> Command {
        let mut python = Command::new(self.bin("python"));
        python.args(["-c", DEPLOY]);
        python
    }

    /// Deploys the template with these functions; the stack's outputs go to standard output.
    pub(super) fn deploy(
        &self,
        mut python: Command,
        how: &PackageArgs,
        functions: &Path,
    ) -> Result<(), AwsError> {
        let template = self.path("template.yaml");
        keep(&template, TEMPLATE)?;
        python
            .arg(format!("Name={}", how.name))
            .args(&how.parameters);
        python.arg("--template").arg(&template);
        python.arg("--functions").arg(functions);
        run(&mut python, "deploying")
    }
}

/// Builds the functions of the checkout for Lambda, small and fast to start.
fn build_for_aws(how: &PackageArgs) -> Result<PathBuf, AwsError> {
    let mut cargo = Command::new("cargo");
    cargo.args(["lambda", "build", "--locked", "--profile", "lambda"]);
    let arm = how
        .parameters
        .iter()
        .any(|parameter| parameter == "Architecture=arm64");
    if arm {
        cargo.arg("--arm64");
    }
    for function in Function::ALL {
        cargo.arg("--bin").arg(function.name());
    }
    let folder = absolute(&how.state)?.join("lambda");
    cargo.arg("--lambda-dir").arg(&folder);
    run(&mut cargo, "building the functions")?;
    Ok(folder)
}

/// Builds the functions of the checkout for this machine, quickly.
pub(super) fn build_for_here(how: &PackageArgs) -> Result<PathBuf, AwsError> {
    let folder = absolute(&how.state)?.join("functions");
    let built = folder.join("built");
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--quiet", "--locked", "--workspace"]);
    for function in Function::ALL {
        cargo.arg("--bin").arg(function.name());
    }
    cargo.arg("--target-dir").arg(&built);
    run(&mut cargo, "building the functions")?;
    for function in Function::ALL {
        let name = function.name();
        let own = folder.join(name);
        std::fs::create_dir_all(&own).map_err(kept(&own))?;
        let mut strip = Command::new("strip");
        strip.arg("-o").arg(own.join("bootstrap"));
        // Without what only a debugger reads: it is zipped, sent and unpacked.
        strip.arg(built.join("debug").join(name));
        run(&mut strip, "making the functions small")?;
    }
    Ok(folder)
}

fn absolute(path: &Path) -> Result<PathBuf, AwsError> {
    std::path::absolute(path).map_err(kept(path))
}

/// Runs a program to its end.
pub(super) fn run(command: &mut Command, what: &'static str) -> Result<(), AwsError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.stdin(Stdio::null()).status();
    let status = status.map_err(|source| AwsError::Start {
        program: program.clone(),
        what,
        source,
    })?;
    if status.success() {
        return Ok(());
    }
    Err(AwsError::Program {
        program,
        what,
        status,
    })
}

/// Writes a file of ours.
pub(super) fn keep(path: &Path, text: &str) -> Result<(), AwsError> {
    std::fs::write(path, text).map_err(kept(path))
}

/// Tells of a file that could not be kept.
pub(super) fn kept(path: &Path) -> impl FnOnce(std::io::Error) -> AwsError {
    let path = path.to_owned();
    move |source| AwsError::Keep { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_deploys_is_what_the_judges_deploy_with() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let pins = root.join("tests/judges/requirements-emulator.txt");
        let pins = std::fs::read_to_string(pins).unwrap();
        for tool in TOOLS {
            assert!(pins.lines().any(|line| line == tool), "{tool}");
        }
    }

    #[test]
    fn the_template_names_every_function() {
        for function in Function::ALL {
            let code = format!("CodeUri: ../target/lambda/{}/", function.name());
            assert!(TEMPLATE.contains(&code), "{code}");
        }
    }
}
