//! `swath dlq`: what functions have given up on.

use std::collections::HashSet;

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use serde::Serialize;
use serde_json::Value;

use super::arguments::ChosenArgs;
use super::deployment::{Deployment, Queues, failed};
use super::error::AwsError;
use crate::exit::Exit;
use crate::run;

/// How long a message that is looked at is hidden from others, seconds.
const HIDDEN: i32 = 60;

/// Answers without a new message after which a queue counts as empty: one alone may have missed what other servers hold.
const EMPTY_ANSWERS: u32 = 3;

/// Counts the dead letters of each function; a deployment without any is well.
pub(super) async fn list(deployment: &Deployment, json: bool) -> Result<Exit, AwsError> {
    #[derive(Serialize)]
    struct Line<'a> {
        function: &'static str,
        queue: &'a str,
        dead: u64,
    }
    for queues in &deployment.queues {
        let depth = deployment.depth(&queues.dead).await?;
        let line = Line {
            function: queues.function.name(),
            queue: &queues.label,
            dead: depth.waiting + depth.under_way,
        };
        if json {
            run::print_json(&line);
        } else {
            run::print_text(&format!("{:<10} {:>7}\n", line.queue, line.dead));
        }
    }
    Ok(Exit::Done)
}

/// One dead letter, as it is shown.
#[derive(Debug, Serialize)]
struct Letter {
    function: &'static str,
    message_id: String,
    kind: Option<String>,
    run_id: Option<String>,
    sent_ms: Option<u64>,
    body: String,
    /// The command that finds what the function logged about it.
    logged: String,
}

impl Letter {
    fn of(message: &Message, deployment: &Deployment, queues: &Queues) -> Self {
        let body = message.body().unwrap_or_default();
        let parsed: Option<Value> = serde_json::from_str(body).ok();
        let text = |name: &str| Some(parsed.as_ref()?.get(name)?.as_str()?.to_owned());
        let sent = message
            .attributes()
            .and_then(|attributes| attributes.get(&MessageSystemAttributeName::SentTimestamp));
        let function = queues.function.name();
        let id = message.message_id().unwrap_or_default();
        Self {
            function,
            message_id: id.to_owned(),
            kind: text("kind"),
            run_id: text("run_id"),
            sent_ms: sent.and_then(|sent| sent.parse().ok()),
            logged: format!(
                "aws logs filter-log-events --log-group-name /aws/lambda/{}-{function} --filter-pattern '\"{id}\" \"handed back\"'",
                deployment.name
            ),
            body: body.to_owned(),
        }
    }
}

/// Shows dead letters; they stay where they are.
pub(super) async fn explain(
    deployment: &Deployment,
    chosen: &ChosenArgs,
    json: bool,
) -> Result<Exit, AwsError> {
    let mut left = chosen.max.unwrap_or(usize::MAX);
    for queues in queues_of(deployment, chosen) {
        let mut reader = Reader::of(deployment, queues, chosen);
        while left > 0
            && let Some(message) = reader.next().await?
        {
            left -= 1;
            let letter = Letter::of(&message, deployment, queues);
            if json {
                run::print_json(&letter);
            } else {
                run::print_text(&format!(
                    "{} {} {} of run {}\n  {}\n  {}\n",
                    letter.function,
                    letter.message_id,
                    letter.kind.as_deref().unwrap_or("nothing of ours"),
                    letter.run_id.as_deref().unwrap_or("none"),
                    letter.body,
                    letter.logged
                ));
            }
        }
        reader.put_back().await?;
    }
    Ok(Exit::Done)
}

/// Sends dead letters to their function again, then takes them out of the dead letters: one that is sent and not taken out
/// is delivered twice, which does no harm, and none can be lost. No queue is one that would drop a message for being a copy.
pub(super) async fn replay(
    deployment: &Deployment,
    chosen: &ChosenArgs,
    json: bool,
) -> Result<Exit, AwsError> {
    #[derive(Serialize)]
    struct Line<'a> {
        function: &'static str,
        queue: &'a str,
        replayed: usize,
    }
    let mut left = chosen.max.unwrap_or(usize::MAX);
    for queues in queues_of(deployment, chosen) {
        let mut reader = Reader::of(deployment, queues, chosen);
        let mut replayed = 0;
        while left > 0
            && let Some(message) = reader.next().await?
        {
            send_again(deployment, queues, &message).await?;
            reader.done(&message);
            left -= 1;
            replayed += 1;
        }
        reader.put_back().await?;
        let function = queues.function.name();
        let queue = &queues.label;
        let line = Line {
            function,
            queue,
            replayed,
        };
        if json {
            run::print_json(&line);
        } else if replayed > 0 {
            run::print_text(&format!("{queue:<10} {replayed:>7} sent again\n"));
        }
    }
    Ok(Exit::Done)
}

async fn send_again(
    deployment: &Deployment,
    queues: &Queues,
    message: &Message,
) -> Result<(), AwsError> {
    let body = message.body().unwrap_or_default();
    let call = deployment.sqs.send_message();
    let sent = call.queue_url(&queues.work).message_body(body).send().await;
    sent.map_err(|error| failed(&queues.work, "sending a dead letter", error))?;
    let receipt = message.receipt_handle().unwrap_or_default();
    let delete = deployment.sqs.delete_message();
    let deleted = delete.queue_url(&queues.dead).receipt_handle(receipt);
    let deleted = deleted.send().await;
    deleted.map_err(|error| failed(&queues.dead, "taking out what was sent again", error))?;
    Ok(())
}

fn queues_of<'a>(
    deployment: &'a Deployment,
    chosen: &ChosenArgs,
) -> impl Iterator<Item = &'a Queues> {
    let function = chosen.function;
    let queues = deployment.queues.iter();
    queues.filter(move |queues| function.is_none_or(|function| function == queues.function))
}

/// Reads the dead letters of a function, each once.
struct Reader<'a> {
    deployment: &'a Deployment,
    queues: &'a Queues,
    chosen: &'a ChosenArgs,
    seen: HashSet<String>,
    received: Vec<Message>,
    /// Receipts of what is to be visible again at the end.
    hidden: Vec<(String, String)>,
    empty_answers: u32,
}

impl<'a> Reader<'a> {
    fn of(deployment: &'a Deployment, queues: &'a Queues, chosen: &'a ChosenArgs) -> Self {
        Self {
            deployment,
            queues,
            chosen,
            seen: HashSet::new(),
            received: Vec::new(),
            hidden: Vec::new(),
            empty_answers: 0,
        }
    }

    /// Returns the next one that was chosen.
    async fn next(&mut self) -> Result<Option<Message>, AwsError> {
        loop {
            while let Some(message) = self.received.pop() {
                if self.is_chosen(&message) {
                    return Ok(Some(message));
                }
            }
            if self.empty_answers >= EMPTY_ANSWERS {
                return Ok(None);
            }
            self.receive().await?;
        }
    }

    async fn receive(&mut self) -> Result<(), AwsError> {
        let call = self.deployment.sqs.receive_message();
        let call = call.queue_url(&self.queues.dead).max_number_of_messages(10);
        let call = call.visibility_timeout(HIDDEN).wait_time_seconds(1);
        let call = call.message_system_attribute_names(MessageSystemAttributeName::All);
        let answer = call.send().await;
        let answer = answer.map_err(|error| failed(&self.queues.dead, "receiving", error))?;
        let mut new = 0;
        for message in answer.messages.unwrap_or_default() {
            let id = message.message_id().unwrap_or_default().to_owned();
            let receipt = message.receipt_handle().unwrap_or_default().to_owned();
            if self.seen.insert(id.clone()) {
                new += 1;
                self.received.push(message);
            }
            self.hidden.push((id, receipt));
        }
        self.empty_answers = if new == 0 { self.empty_answers + 1 } else { 0 };
        Ok(())
    }

    fn is_chosen(&self, message: &Message) -> bool {
        let Some(run) = &self.chosen.run else {
            return true;
        };
        let body = message.body().unwrap_or_default();
        let parsed: Option<Value> = serde_json::from_str(body).ok();
        parsed.is_some_and(|body| body.get("run_id").and_then(Value::as_str) == Some(run))
    }

    /// Notes that a message has left the queue.
    fn done(&mut self, message: &Message) {
        self.hidden
            .retain(|(id, _)| Some(id.as_str()) != message.message_id());
    }

    /// Makes what stays visible again at once.
    async fn put_back(self) -> Result<(), AwsError> {
        for (_, receipt) in &self.hidden {
            let call = self.deployment.sqs.change_message_visibility();
            let call = call.queue_url(&self.queues.dead).receipt_handle(receipt);
            let back = call.visibility_timeout(0).send().await;
            back.map_err(|error| failed(&self.queues.dead, "putting back", error))?;
        }
        Ok(())
    }
}
