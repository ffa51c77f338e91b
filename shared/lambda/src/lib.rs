//! The shell every function wears: batches, deadlines, telemetry.
//!
//! A function's `main` reads its settings through [`env`], builds its ports and calls [`serve`]; its handler gets a
//! [`Batch`] and says what one message asks for ([`Batch::each`]) or what all of them do ([`Batch::whole`]).

mod batch;
mod deadline;
pub mod env;
mod incoming;
pub mod measure;
mod quarantine;
mod scrub;
mod serve;
mod shell;
pub mod telemetry;

pub use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
pub use batch::{Batch, BatchError};
pub use deadline::{Deadline, Invocation};
pub use incoming::{Change, Incoming, Malformed, ObjectEvent, Refused, Sequencer};
pub use quarantine::Record;
pub use scrub::scrub;
pub use serve::{StartError, serve};
pub use shell::{MAX_RECEIVES, Shell};
