//! Lambda entry point: reads the settings, wires the ports, serves.

use std::sync::Arc;

use swath_cloud::queue::SqsHold;
use swath_cloud::store;
use swath_lambda::{Shell, StartError, serve, telemetry};
use swath_search::{Config, Context, handle};

#[tokio::main]
async fn main() -> Result<(), StartError> {
    telemetry::init();
    let config = Config::from_env()?;
    let lake = store::open(&config.lake)?;
    let context = &Context::from_config(&config, &lake).await?;
    let shell = Shell::new("search", lake)
        .concurrency(config.concurrency)
        .needing(config.time_needed)
        .holding(Arc::new(SqsHold::default()), config.max_receives);
    serve(shell, |batch| handle(batch, context)).await
}
