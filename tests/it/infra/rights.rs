//! Roles: each function its own, with no more than its work needs.

use std::collections::{BTreeMap, BTreeSet};

use super::template::{Place, Statement, Template, named, text};
use crate::house::tree::no_faults;

/// What only `commit` may write: below it lies what makes a snapshot current.
const POINTERS: [&str; 3] = [
    "warehouse/earthcatalog/stac_items/metadata/version-hint.text",
    "warehouse/swath/asset_rows/metadata/version-hint.text",
    "warehouse/swath/asset_files/metadata/version-hint.text",
];

/// Rights that the emulator does not check, so that no deployment to it can tell whether they are there.
const RECEIVING: [&str; 3] = [
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
];

/// Rights to have a message of one's own queue come again.
const WAITING: [&str; 2] = ["sqs:ChangeMessageVisibility", "sqs:SendMessage"];

#[test]
fn no_right_is_wider_than_a_prefix() {
    no_faults("wildcards", &wildcards(&Template::parse(&text())));
}

#[test]
fn every_function_has_a_role_of_its_own() {
    no_faults("roles", &roles(&Template::parse(&text())));
}

#[test]
fn every_function_may_take_from_its_own_queue_and_log_to_its_own_group() {
    no_faults(
        "receiving and logging",
        &receiving(&Template::parse(&text())),
    );
}

#[test]
fn whoever_reads_a_bucket_may_see_that_a_key_is_gone() {
    no_faults("seeing", &seeing(&Template::parse(&text())));
}

#[test]
fn no_upload_notification_matches_a_key_that_a_function_may_write() {
    no_faults("notifications", &notifications(&Template::parse(&text())));
}

#[test]
fn only_commit_and_maintain_may_move_a_table() {
    no_faults("pointers", &pointers(&Template::parse(&text())));
}

#[test]
fn buckets_are_encrypted_and_private_and_forget_broken_uploads() {
    no_faults("buckets", &buckets(&Template::parse(&text())));
}

pub(super) fn wildcards(template: &Template) -> Vec<String> {
    let mut faults = Vec::new();
    for Statement {
        role,
        sid,
        actions,
        resources,
    } in template.statements()
    {
        if sid == "null" {
            faults.push(format!("{role}: a statement without a name"));
        }
        for action in actions.iter().filter(|action| action.contains('*')) {
            faults.push(format!("{role}: {sid} allows {action}"));
        }
        for Place { of, keys } in &resources {
            // A star ends a prefix; it is no prefix.
            let wide = keys
                .as_ref()
                .is_some_and(|keys| keys.trim_end_matches('*').contains('*') || keys == "*");
            if of.contains('*') || wide {
                faults.push(format!("{role}: {sid} is about {of} {keys:?}"));
            }
        }
        if resources.is_empty() {
            faults.push(format!("{role}: {sid} is about nothing"));
        }
    }
    for (role, properties) in template.all("AWS::IAM::Role") {
        if !properties["ManagedPolicyArns"].is_null() {
            faults.push(format!(
                "{role} takes the rights of a policy that others may widen"
            ));
        }
    }
    faults
}

pub(super) fn roles(template: &Template) -> Vec<String> {
    let mut owners: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut faults = Vec::new();
    for (function, properties) in template.functions() {
        match named(&properties["Role"]) {
            Some(role) => owners.entry(role).or_default().push(function),
            None => faults.push(format!("{function} has no role of the template")),
        }
    }
    let shared = owners.iter().filter(|(_, functions)| functions.len() > 1);
    faults.extend(shared.map(|(role, functions)| format!("{functions:?} share {role}")));
    faults
}

pub(super) fn receiving(template: &Template) -> Vec<String> {
    let statements = template.statements();
    let mut faults = Vec::new();
    let mappings = template.mappings();
    for mapping in &mappings {
        let role = named(&mapping.properties["Role"]).unwrap_or_default();
        let own = || statements.iter().filter(|statement| statement.role == role);
        let feeds = |queue: &str| {
            let mut feeding = mappings.iter().filter(|one| one.queue == queue);
            feeding.any(|one| one.function == mapping.function)
        };
        let about = |name: &str| -> BTreeSet<&str> {
            let about =
                own().filter(|statement| statement.resources.iter().any(|place| place.of == name));
            about
                .flat_map(|statement| statement.actions.iter().map(String::as_str))
                .collect()
        };
        let queue = about(mapping.queue);
        if !RECEIVING.iter().all(|action| queue.contains(action)) {
            faults.push(format!(
                "{role} may not take from {}: {queue:?}",
                mapping.queue
            ));
        }
        // Whoever counts deliveries has messages wait, and sends a copy before the last one.
        let counts = named(&mapping.properties["Environment"]["Variables"]["SWATH_MAX_RECEIVES"]);
        let waits = WAITING.iter().all(|action| queue.contains(action));
        if counts.is_some() != waits {
            faults.push(format!(
                "{role}: messages of {} wait: {waits}, deliveries counted as {counts:?}",
                mapping.queue
            ));
        }
        let most =
            &template.all("AWS::SQS::Queue")[mapping.queue]["RedrivePolicy"]["maxReceiveCount"];
        if counts.is_some() && counts != named(most) {
            faults.push(format!(
                "{}: gives up after {most}, its function counts to {counts:?}",
                mapping.queue
            ));
        }
        let logs = named(&mapping.properties["LoggingConfig"]["LogGroup"]).unwrap_or_default();
        if about(logs) != BTreeSet::from(["logs:CreateLogStream", "logs:PutLogEvents"]) {
            faults.push(format!("{role} may not log to {logs:?}"));
        }
        let others = own().filter(|statement| {
            statement
                .actions
                .iter()
                .any(|action| action == "sqs:ReceiveMessage")
        });
        let others = others
            .flat_map(|statement| &statement.resources)
            .filter(|place| !feeds(&place.of));
        faults.extend(others.map(|place| format!("{role} may take from {}", place.of)));
    }
    faults
}

/// Without the right to list, the service calls a key that is gone forbidden.
pub(super) fn seeing(template: &Template) -> Vec<String> {
    let statements = template.statements();
    let buckets = template.all("AWS::S3::Bucket");
    let may = |action: &str| -> BTreeSet<(&str, &str)> {
        let statements = statements.iter();
        let allowed =
            statements.filter(|statement| statement.actions.iter().any(|own| own == action));
        let places = allowed.flat_map(|statement| {
            let resources = statement.resources.iter();
            resources.map(|place| (statement.role, place.of.as_str()))
        });
        places
            .filter(|(_, bucket)| buckets.contains_key(bucket))
            .collect()
    };
    let (read, list) = (may("s3:GetObject"), may("s3:ListBucket"));
    let blind = read.symmetric_difference(&list);
    blind
        .map(|(role, bucket)| format!("{role} may not both read and list {bucket}"))
        .collect()
}

/// Returns whether some key lies under both patterns, of which a star is the last character.
fn meet(one: &str, other: &str) -> bool {
    let (one, other) = (one.trim_end_matches('*'), other.trim_end_matches('*'));
    one.starts_with(other) || other.starts_with(one)
}

fn writes(template: &Template) -> impl Iterator<Item = (String, Place)> {
    let writing = ["s3:PutObject", "s3:DeleteObject", "s3:RestoreObject"];
    let statements = template.statements().into_iter();
    let statements = statements.filter(move |statement| {
        statement
            .actions
            .iter()
            .any(|action| writing.contains(&action.as_str()))
    });
    statements.flat_map(|statement| {
        let role = statement.role.to_owned();
        statement
            .resources
            .into_iter()
            .map(move |place| (role.clone(), place))
    })
}

pub(super) fn notifications(template: &Template) -> Vec<String> {
    let mut faults = Vec::new();
    let mut rules = 0;
    for (bucket, properties) in template.all("AWS::S3::Bucket") {
        let notifications = &properties["NotificationConfiguration"];
        for kind in [
            "QueueConfigurations",
            "TopicConfigurations",
            "LambdaConfigurations",
        ] {
            for rule in super::template::list(&notifications[kind]) {
                rules += 1;
                let filters = super::template::list(&rule["Filter"]["S3Key"]["Rules"]);
                let prefix = filters.iter().find(|filter| filter["Name"] == "prefix");
                let Some(prefix) = prefix.and_then(|filter| filter["Value"].as_str()) else {
                    faults.push(format!("{bucket}: a rule without a prefix"));
                    continue;
                };
                for (role, place) in writes(template).filter(|(_, place)| place.of == bucket) {
                    if meet(place.keys.as_deref().unwrap_or(""), prefix) {
                        faults.push(format!(
                            "{role} may write {:?}, and {bucket} tells of {prefix}",
                            place.keys
                        ));
                    }
                }
            }
        }
        if !notifications["EventBridgeConfiguration"].is_null() {
            faults.push(format!("{bucket} tells of every key"));
        }
    }
    if rules == 0 {
        faults.push("no upload starts anything".to_owned());
    }
    faults
}

pub(super) fn pointers(template: &Template) -> Vec<String> {
    let mut faults = Vec::new();
    let mut movers = BTreeSet::new();
    for (role, place) in writes(template) {
        let keys = place.keys.unwrap_or_default();
        if POINTERS.iter().any(|pointer| meet(&keys, pointer)) {
            movers.insert(role);
        }
    }
    if movers != BTreeSet::from(["CommitRole", "MaintainRole"].map(str::to_owned)) {
        faults.push(format!("tables are moved by {movers:?}"));
    }
    faults
}

pub(super) fn buckets(template: &Template) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, bucket) in template.all("AWS::S3::Bucket") {
        let closed = [
            "BlockPublicAcls",
            "BlockPublicPolicy",
            "IgnorePublicAcls",
            "RestrictPublicBuckets",
        ];
        if closed
            .iter()
            .any(|door| bucket["PublicAccessBlockConfiguration"][door] != true)
        {
            faults.push(format!("{name} can be made public"));
        }
        if bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"].is_null() {
            faults.push(format!("{name} is not encrypted"));
        }
        let rules = super::template::list(&bucket["LifecycleConfiguration"]["Rules"]);
        if !rules.iter().any(|rule| {
            !rule["AbortIncompleteMultipartUpload"].is_null() && rule["Prefix"].is_null()
        }) {
            faults.push(format!("{name} keeps the parts of broken uploads"));
        }
    }
    faults
}
