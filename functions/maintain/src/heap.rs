//! The memory that a process keeps of what it has freed.

/// Says how many heaps glibc makes; without it, up to eight for each processor.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const HEAPS: &str = "MALLOC_ARENA_MAX";

/// Begins the program again, in its own process, with one heap for all its threads, unless its environment says how many.
///
/// Threads that merge files hand large buffers to one another, and each of glibc's heaps keeps what it has freed: with one
/// of them a merge takes half the memory. Elsewhere than on Linux with glibc, or when the program cannot be begun again,
/// this changes nothing. It must come before anything else that the program does.
#[allow(
    clippy::disallowed_methods,
    reason = "glibc reads it when a program begins, before there is a configuration"
)]
pub fn with_one_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use std::os::unix::process::CommandExt as _;

        if std::env::var_os(HEAPS).is_some() {
            return;
        }
        let Ok(program) = std::env::current_exe() else {
            return;
        };
        let mut arguments = std::env::args_os();
        let mut again = std::process::Command::new(program);
        if let Some(name) = arguments.next() {
            again.arg0(name);
        }
        // Comes back only where it failed, and then the program goes on as it is.
        let _failed = again.args(arguments).env(HEAPS, "1").exec();
    }
}
