//! Lambda entry point: reads the settings, wires the ports, serves.

use swath_cloud::store;
use swath_lambda::{Shell, StartError, serve, telemetry};
use swath_maintain::{Config, Context, handle, with_one_heap};

fn main() -> Result<(), StartError> {
    with_one_heap();
    run()
}

#[tokio::main]
async fn run() -> Result<(), StartError> {
    telemetry::init();
    let config = Config::from_env()?;
    let lake = store::open(&config.lake)?;
    let context = &Context::from_store(&lake, &config.pointer, config.publish_db);
    let shell = Shell::new("maintain", lake)
        .concurrency(config.concurrency)
        .needing(config.time_needed);
    serve(shell, |batch| handle(batch, context)).await
}
