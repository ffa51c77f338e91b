//! The loop that Lambda drives.

use std::sync::Arc;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use swath_core::chain;

use crate::batch::{Batch, BatchError};
use crate::deadline::Invocation;
use crate::shell::Shell;

/// Why a function could not start; its `Debug` is the whole chain of causes, which is what a failing `main` prints.
pub struct StartError(String);

impl<E: std::error::Error> From<E> for StartError {
    fn from(error: E) -> Self {
        let reason = chain(&error);
        tracing::error!(reason, "the function cannot start");
        Self(reason)
    }
}

impl std::fmt::Debug for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<BatchError> for Diagnostic {
    fn from(error: BatchError) -> Self {
        Self {
            error_type: "BatchError".to_owned(),
            error_message: chain(&error),
        }
    }
}

/// Gives each batch that Lambda delivers to `handle`, for as long as the process lives.
///
/// # Errors
/// When Lambda cannot be reached.
pub async fn serve<Handle, Handling>(shell: Shell, handle: Handle) -> Result<(), StartError>
where
    Handle: Fn(Batch) -> Handling,
    Handling: Future<Output = Result<SqsBatchResponse, BatchError>>,
{
    let (shell, handle) = (&Arc::new(shell), &handle);
    let service = service_fn(move |event: LambdaEvent<SqsEvent>| {
        let invocation = Invocation::of(&event.context);
        handle(Batch::new(event.payload, Arc::clone(shell), invocation))
    });
    let ended = lambda_runtime::run(service).await;
    ended.map_err(|error| StartError(chain(error.as_ref())))
}
