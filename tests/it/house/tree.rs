//! Reads the checkout: files, manifests, the part of a source file that is no test.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of the checkout.
pub(crate) struct File {
    /// Its path from the root, `/` between the parts.
    pub(crate) path: String,
    /// Where it lies.
    pub(crate) place: PathBuf,
}

impl File {
    /// Reads it.
    pub(crate) fn text(&self) -> String {
        std::fs::read_to_string(&self.place)
            .unwrap_or_else(|error| panic!("{}: {error}", self.path))
    }

    /// Returns whether its name ends so.
    pub(crate) fn is(&self, extension: &str) -> bool {
        self.place.extension().is_some_and(|own| own == extension)
    }

    /// Reads it as far as its tests, which come last.
    pub(crate) fn code(&self) -> String {
        let text = self.text();
        let mut end = text.len();
        let mut start = 0;
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        for pair in lines.windows(2) {
            if pair[0].trim() == "#[cfg(test)]"
                && pair[1].starts_with("mod ")
                && pair[1].trim_end().ends_with('{')
            {
                end = start;
                break;
            }
            start += pair[0].len();
        }
        text[..end].to_owned()
    }

    /// Returns whether it is source that ships: in a member's `src`, and no file of tests.
    pub(super) fn ships(&self) -> bool {
        let tests = self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || self.path.ends_with("/tests.rs");
        self.is("rs") && self.path.contains("/src/") && !tests
    }
}

/// Returns the root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies below the root")
        .to_owned()
}

/// Returns the files that git knows or would add, in order.
pub(crate) fn files() -> Vec<File> {
    let mut git = Command::new("git");
    git.current_dir(root()).args([
        "-c",
        "safe.directory=*",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let paths = stdout(&mut git);
    let mut files: Vec<File> = paths
        .split('\0')
        .filter(|path| !path.is_empty())
        .map(|path| File {
            path: path.to_owned(),
            place: root().join(path),
        })
        .filter(|file| file.place.is_file())
        .collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(
        files.iter().any(|file| file.path == "Cargo.toml"),
        "git lists no Cargo.toml: {paths}"
    );
    files
}

/// Runs a command and returns what it says.
pub(super) fn stdout(command: &mut Command) -> String {
    let done = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}: {said}");
    String::from_utf8(done.stdout).expect("paths and names are text")
}

/// The manifest of a member of the workspace.
pub(super) struct Manifest {
    /// The member's folder.
    pub(super) folder: String,
    /// The package's name.
    pub(super) name: String,
    /// What ships with it: names under `[dependencies]`, as lines stand there.
    pub(super) dependencies: Vec<String>,
    /// All of its lines, trimmed.
    pub(super) lines: Vec<String>,
}

impl Manifest {
    fn of(folder: &str, text: &str) -> Self {
        let lines: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
        let name = under(&lines, "[package]").find_map(|line| line.strip_prefix("name = "));
        let name = name
            .unwrap_or_else(|| panic!("{folder}/Cargo.toml names no package"))
            .trim_matches('"')
            .to_owned();
        let key = |line: &str| {
            line.split(['.', ' ', '='])
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        let dependencies = under(&lines, "[dependencies]").map(key).collect();
        Self {
            folder: folder.to_owned(),
            name,
            dependencies,
            lines,
        }
    }

    /// Returns the room's name: `swath-core` is `core`.
    pub(super) fn room(&self) -> &str {
        self.name.strip_prefix("swath-").unwrap_or(&self.name)
    }

    /// Returns the lines of a section, comments and blank lines left out.
    pub(super) fn section<'a>(&'a self, header: &'a str) -> impl Iterator<Item = &'a str> {
        under(&self.lines, header)
    }
}

fn under<'a>(lines: &'a [String], header: &'a str) -> impl Iterator<Item = &'a str> {
    let section = lines.iter().skip_while(move |line| *line != header).skip(1);
    let section = section.take_while(|line| !line.starts_with('['));
    section
        .map(String::as_str)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Returns the members' manifests, those of `functions/` first.
pub(super) fn manifests() -> Vec<Manifest> {
    let files = files();
    let below = files
        .iter()
        .filter_map(|file| Some((file.path.strip_suffix("/Cargo.toml")?, file)));
    below
        .map(|(folder, file)| Manifest::of(folder, &file.text()))
        .collect()
}

/// Returns the names of the functions.
pub(crate) fn functions() -> Vec<String> {
    let manifests = manifests();
    let names = manifests
        .iter()
        .filter_map(|manifest| manifest.folder.strip_prefix("functions/"));
    names.map(str::to_owned).collect()
}

/// Fails with every fault on a line of its own.
pub(crate) fn no_faults(rule: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{rule}:\n  {}", faults.join("\n  "));
}
