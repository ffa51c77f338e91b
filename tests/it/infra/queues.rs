//! Queues, mappings, schedules: no message is lost, seen twice for no reason, or runs in circles.

use std::collections::BTreeSet;

use super::template::{Template, list, named, text, words};
use crate::house::tree::no_faults;

/// What a source queue keeps its messages, seconds: the service's default.
const RETENTION: u64 = 345_600;

#[test]
fn a_message_stays_hidden_until_every_retry_of_its_batch_is_over() {
    no_faults(
        "visibility >= 6 x timeout + window",
        &visibility(&Template::parse(&text())),
    );
}

#[test]
fn what_fails_again_and_again_ends_among_dead_letters_that_outlive_it() {
    no_faults(
        "a dead-letter queue everywhere",
        &dead_letters(&Template::parse(&text())),
    );
}

#[test]
fn a_batch_is_answered_message_by_message() {
    no_faults(
        "partial responses",
        &partial_responses(&Template::parse(&text())),
    );
}

#[test]
fn a_function_that_feeds_its_own_queue_says_so() {
    no_faults("loops", &loops(&Template::parse(&text())));
}

#[test]
fn a_schedule_says_how_often_it_tries_and_where_its_failures_go() {
    no_faults("schedules", &schedules(&Template::parse(&text())));
}

pub(super) fn visibility(template: &Template) -> Vec<String> {
    let queues = template.all("AWS::SQS::Queue");
    let mut faults = Vec::new();
    for mapping in template.mappings() {
        let visible = template.number(&queues[mapping.queue]["VisibilityTimeout"]);
        let timeout = template.number(&mapping.properties["Timeout"]);
        let window = match &mapping.event["MaximumBatchingWindowInSeconds"] {
            serde_json::Value::Null => Some(0),
            window => template.number(window),
        };
        match (visible, timeout, window) {
            (Some(visible), Some(timeout), Some(window)) if visible >= 6 * timeout + window => {}
            other => faults.push(format!(
                "{}: visibility, timeout, window are {other:?}",
                mapping.queue
            )),
        }
    }
    faults
}

pub(super) fn dead_letters(template: &Template) -> Vec<String> {
    let queues = template.all("AWS::SQS::Queue");
    let sources: BTreeSet<&str> = template
        .mappings()
        .iter()
        .map(|mapping| mapping.queue)
        .collect();
    let mut faults = Vec::new();
    let mut dead = BTreeSet::new();
    for source in &sources {
        let queue = queues[source];
        let redrive = &queue["RedrivePolicy"];
        if template
            .number(&redrive["maxReceiveCount"])
            .is_none_or(|count| count < 5)
        {
            faults.push(format!("{source} gives up after fewer than 5 receives"));
        }
        let Some(target) = named(&redrive["deadLetterTargetArn"])
            .and_then(|name| queues.get(name).map(|queue| (name, *queue)))
        else {
            faults.push(format!("{source} has no dead-letter queue"));
            continue;
        };
        dead.insert(target.0);
        let keeps = template.number(&target.1["MessageRetentionPeriod"]);
        let kept = template
            .number(&queue["MessageRetentionPeriod"])
            .unwrap_or(RETENTION);
        // A dead letter keeps the age that it had.
        if keeps.is_none_or(|keeps| keeps <= kept) {
            faults.push(format!("{} forgets before {source} does", target.0));
        }
        let allow = &target.1["RedriveAllowPolicy"];
        let from: Vec<String> = list(&allow["sourceQueueArns"])
            .into_iter()
            .map(words)
            .collect();
        let end = format!(":{}", words(&queue["QueueName"]));
        if allow["redrivePermission"] != "byQueue"
            || from.len() != 1
            || !from.iter().all(|arn| arn.ends_with(&end))
        {
            faults.push(format!(
                "{} takes from others than {source}: {from:?}",
                target.0
            ));
        }
    }
    let stray = queues
        .keys()
        .filter(|name| !sources.contains(*name) && !dead.contains(*name));
    faults.extend(stray.map(|name| format!("nobody reads {name}")));
    faults
}

pub(super) fn partial_responses(template: &Template) -> Vec<String> {
    let mut faults = Vec::new();
    let mappings = template.mappings();
    for (function, _) in template.functions() {
        if !mappings.iter().any(|mapping| mapping.function == function) {
            faults.push(format!("nothing starts {function}"));
        }
    }
    for mapping in &mappings {
        if list(&mapping.event["FunctionResponseTypes"]) != ["ReportBatchItemFailures"] {
            faults.push(format!(
                "{}: one failure fails the whole batch",
                mapping.function
            ));
        }
        let batch = template.number(&mapping.event["BatchSize"]);
        let window = template.number(&mapping.event["MaximumBatchingWindowInSeconds"]);
        if batch.is_none() || (batch > Some(10) && window.is_none_or(|window| window == 0)) {
            faults.push(format!(
                "{}: batches of {batch:?} with a window of {window:?}",
                mapping.function
            ));
        }
    }
    faults
}

pub(super) fn loops(template: &Template) -> Vec<String> {
    let statements = template.statements();
    let mut faults = Vec::new();
    for mapping in template.mappings() {
        let role = named(&mapping.properties["Role"]).unwrap_or_default();
        let feeds_itself = statements.iter().any(|statement| {
            statement.role == role
                && statement
                    .actions
                    .iter()
                    .any(|action| action == "sqs:SendMessage")
                && statement
                    .resources
                    .iter()
                    .any(|place| place.of == mapping.queue)
        });
        let allowed = mapping.properties["RecursiveLoop"] == "Allow";
        if feeds_itself != allowed {
            faults.push(format!(
                "{}: feeds its own queue: {feeds_itself}, RecursiveLoop allows it: {allowed}",
                mapping.function
            ));
        }
    }
    faults
}

pub(super) fn schedules(template: &Template) -> Vec<String> {
    let queues = template.all("AWS::SQS::Queue");
    let mut faults = Vec::new();
    for (name, schedule) in template.all("AWS::Scheduler::Schedule") {
        let target = &schedule["Target"];
        for limit in ["MaximumRetryAttempts", "MaximumEventAgeInSeconds"] {
            if template.number(&target["RetryPolicy"][limit]).is_none() {
                faults.push(format!("{name} leaves {limit} to the service"));
            }
        }
        if named(&target["DeadLetterConfig"]["Arn"]).is_none_or(|dead| !queues.contains_key(dead)) {
            faults.push(format!("{name}: what cannot be delivered is lost"));
        }
        // Functions are called asynchronously: the schedule never hears of their failures.
        let function =
            named(&target["Arn"]).and_then(|name| template.functions().get(name).copied());
        if let Some(function) = function
            && function["EventInvokeConfig"]["DestinationConfig"]["OnFailure"].is_null()
        {
            faults.push(format!("{name}: the failures of its function are lost"));
        }
    }
    faults
}
