//! A function that does nothing, for `tests/bench/shell.py`: what is left is the shell's own work.

use std::num::NonZeroUsize;

use swath_cloud::store::Store;
use swath_lambda::{Shell, StartError, serve, telemetry};

#[tokio::main]
async fn main() -> Result<(), StartError> {
    telemetry::init();
    let shell = Shell::new("noop", Store::in_memory()).concurrency(NonZeroUsize::MIN);
    serve(shell, |batch| async {
        let nothing = async |_| Ok::<(), swath_cloud::store::StoreError>(());
        batch.each(swath_lambda::Incoming::message, nothing).await
    })
    .await
}
