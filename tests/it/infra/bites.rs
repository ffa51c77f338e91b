//! Every rule finds the fault that it is there for.

use super::template::{Template, text};
use super::{queues, rights, watch};

type Rule = fn(&Template) -> Vec<String>;

/// A rule, and a change to the template that breaks it: the first place that says the one says the other instead.
const BROKEN: [(&str, Rule, &str, &str); 27] = [
    (
        "visibility",
        queues::visibility,
        "Default: 740",
        "Default: 739",
    ),
    (
        "no visibility",
        queues::visibility,
        "VisibilityTimeout: !Ref PlanVisibility",
        "DelaySeconds: 0",
    ),
    (
        "few receives",
        queues::dead_letters,
        "PlanReceives: {Type: Number, Default: 5",
        "PlanReceives: {Type: Number, Default: 4",
    ),
    (
        "no dead letters",
        queues::dead_letters,
        "RedrivePolicy: {deadLetterTargetArn: !GetAtt SearchDeadLetters.Arn,",
        "RedrivePolicy: {",
    ),
    (
        "forgotten dead letters",
        queues::dead_letters,
        "MessageRetentionPeriod: 1209600",
        "MessageRetentionPeriod: 345600",
    ),
    (
        "another's dead letters",
        queues::dead_letters,
        "${AWS::AccountId}:${Name}-search\"]",
        "${AWS::AccountId}:${Name}-write\"]",
    ),
    (
        "whole batches",
        queues::partial_responses,
        "FunctionResponseTypes: [ReportBatchItemFailures]",
        "Enabled: true",
    ),
    (
        "no window",
        queues::partial_responses,
        "MaximumBatchingWindowInSeconds: !Ref WriteWindow, ",
        "",
    ),
    (
        "a loop",
        queues::loops,
        "Action: sqs:SendMessage, Resource: !GetAtt SearchQueue.Arn",
        "Action: sqs:SendMessage, Resource: !GetAtt PlanQueue.Arn",
    ),
    (
        "no retry policy",
        queues::schedules,
        "MaximumRetryAttempts: 10, ",
        "",
    ),
    (
        "a wide action",
        rights::wildcards,
        "Action: s3:ListBucket",
        "Action: s3:*",
    ),
    (
        "a wide resource",
        rights::wildcards,
        "${LakeBucket.Arn}/receipts/*",
        "${LakeBucket.Arn}/*",
    ),
    (
        "a shared role",
        rights::roles,
        "Role: !GetAtt SearchRole.Arn",
        "Role: !GetAtt PlanRole.Arn",
    ),
    (
        "a blind reader",
        rights::seeing,
        "Action: s3:ListBucket",
        "Action: s3:ListBucketVersions",
    ),
    (
        "no receiving",
        rights::receiving,
        "sqs:ReceiveMessage, ",
        "",
    ),
    (
        "a message that cannot wait",
        rights::receiving,
        "Action: sqs:ChangeMessageVisibility, Resource: !GetAtt SearchQueue.Arn",
        "Action: sqs:GetQueueUrl, Resource: !GetAtt SearchQueue.Arn",
    ),
    (
        "another count of deliveries",
        rights::receiving,
        "SWATH_MAX_RECEIVES: !Ref SearchReceives",
        "SWATH_MAX_RECEIVES: !Ref DownloadReceives",
    ),
    (
        "a loop that is cut",
        queues::loops,
        "RecursiveLoop: Allow",
        "RecursiveLoop: Terminate",
    ),
    (
        "a rule for every key",
        rights::notifications,
        "Name: prefix, Value: aois/",
        "Name: suffix, Value: .json",
    ),
    (
        "a written inbox",
        rights::notifications,
        "Sid: ReadUploads, Effect: Allow, Action: s3:GetObject",
        "Sid: ReadUploads, Effect: Allow, Action: s3:PutObject",
    ),
    (
        "a second committer",
        rights::pointers,
        "warehouse/swath/asset_rows/data/*",
        "warehouse/swath/*",
    ),
    (
        "a public bucket",
        rights::buckets,
        "RestrictPublicBuckets: true",
        "RestrictPublicBuckets: false",
    ),
    (
        "a variable unset",
        watch::variables,
        "SWATH_SEARCH_QUEUE: !Ref SearchQueue",
        "A: a",
    ),
    (
        "a short timeout",
        watch::timeouts,
        "PlanTimeout: {Type: Number, Default: 120, MinValue: 30",
        "PlanTimeout: {Type: Number, Default: 120, MinValue: 10",
    ),
    (
        "a function left out",
        watch::binaries,
        "CodeUri: ../target/lambda/search/",
        "CodeUri: ../target/lambda/plan/",
    ),
    (
        "an unwatched queue",
        watch::alarms,
        "!GetAtt DownloadDeadLetters.QueueName",
        "!GetAtt WriteDeadLetters.QueueName",
    ),
    (
        "logs for ever",
        watch::logs,
        ", RetentionInDays: !Ref LogRetentionDays",
        "",
    ),
];

#[test]
fn every_rule_finds_its_fault() {
    let text = text();
    for (fault, rule, whole, broken) in BROKEN {
        assert!(
            text.contains(whole),
            "{fault}: the template does not say {whole:?}"
        );
        let before = rule(&Template::parse(&text));
        let after = rule(&Template::parse(&text.replacen(whole, broken, 1)));
        assert!(
            after.len() > before.len(),
            "{fault} was not found: {after:?}"
        );
    }
}
