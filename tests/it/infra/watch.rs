//! Settings and alarms: functions get what they read, people hear of what goes wrong.

use std::collections::BTreeSet;

use serde_json::Value;

use super::template::{Template, list, named, text, words};
use crate::house::tree::{files, functions, no_faults};

#[test]
fn every_variable_that_a_function_reads_is_set_and_no_other() {
    no_faults("variables", &variables(&Template::parse(&text())));
}

#[test]
fn no_timeout_is_shorter_than_the_time_that_a_message_needs() {
    no_faults("timeouts", &timeouts(&Template::parse(&text())));
}

#[test]
fn every_function_of_the_workspace_is_deployed_with_its_own_binary() {
    no_faults("binaries", &binaries(&Template::parse(&text())));
}

#[test]
fn nothing_goes_wrong_in_silence() {
    no_faults("alarms", &alarms(&Template::parse(&text())));
}

#[test]
fn logs_are_kept_for_a_while_and_no_longer() {
    no_faults("logs", &logs(&Template::parse(&text())));
}

/// Returns the variables that code reads: texts in quotes that look like one of ours, tests left out.
fn read_by(code: &str) -> BTreeSet<&str> {
    code.split('"')
        .filter(|word| {
            word.strip_prefix("SWATH_").is_some_and(|rest| {
                rest.bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
            })
        })
        .collect()
}

pub(super) fn variables(template: &Template) -> Vec<String> {
    let files = files();
    let mut faults = Vec::new();
    for (function, properties) in template.functions() {
        let binary = binary(properties);
        let path = format!("functions/{binary}/src/config.rs");
        let Some(config) = files.iter().find(|file| file.path == path) else {
            faults.push(format!("{function}: no {path}"));
            continue;
        };
        let code = config.code();
        let mut reads = read_by(&code);
        reads.insert("SWATH_LOG");
        let maps = [
            &template.globals()["Environment"]["Variables"],
            &properties["Environment"]["Variables"],
        ];
        let set: BTreeSet<&str> = maps
            .into_iter()
            .filter_map(Value::as_object)
            .flat_map(|map| map.keys().map(String::as_str))
            .collect();
        faults.extend(
            reads
                .difference(&set)
                .map(|name| format!("{function} reads {name}, which is not set")),
        );
        faults.extend(
            set.difference(&reads)
                .map(|name| format!("{function} does not read {name}")),
        );
        for value in properties["Environment"]["Variables"]
            .as_object()
            .into_iter()
            .flat_map(serde_json::Map::values)
        {
            if value.is_number() {
                faults.push(format!("{function}: {value} is no text, as variables are"));
            }
        }
    }
    faults
}

/// A function that never has the time it needs hands every message back untouched.
pub(super) fn timeouts(template: &Template) -> Vec<String> {
    let mut faults = Vec::new();
    for (function, properties) in template.functions() {
        let variables = &properties["Environment"]["Variables"];
        let needed = variables["SWATH_TIME_NEEDED"].as_str();
        let needed: Option<u64> = needed.and_then(|seconds| seconds.parse().ok());
        let least = template.least(&properties["Timeout"]);
        if needed.is_none() || least <= needed {
            faults.push(format!(
                "{function}: a timeout may be {least:?} s, a message needs {needed:?} s"
            ));
        }
    }
    faults
}

fn binary(properties: &Value) -> String {
    let place = words(&properties["CodeUri"]);
    place
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned()
}

pub(super) fn binaries(template: &Template) -> Vec<String> {
    let deployed: BTreeSet<String> = template.functions().into_values().map(binary).collect();
    let mut faults: Vec<String> = functions()
        .into_iter()
        .filter(|name| !deployed.contains(name))
        .map(|name| format!("{name} is not deployed"))
        .collect();
    for (function, properties) in template.functions() {
        if words(&properties["FunctionName"]) != format!("${{Name}}-{}", binary(properties)) {
            faults.push(format!("{function} bears another name than its binary"));
        }
    }
    faults
}

pub(super) fn alarms(template: &Template) -> Vec<String> {
    let alarms = template.all("AWS::CloudWatch::Alarm");
    let watched: BTreeSet<(String, &str)> = alarms
        .values()
        .flat_map(|alarm| {
            list(&alarm["Dimensions"])
                .into_iter()
                .map(|dimension| (words(&alarm["MetricName"]), dimension))
        })
        .filter_map(|(metric, dimension)| Some((metric, named(&dimension["Value"])?)))
        .collect();
    let mut needed = Vec::new();
    let queues = template.all("AWS::SQS::Queue");
    for mapping in template.mappings() {
        needed.push(("ApproximateAgeOfOldestMessage", mapping.queue));
        needed.push(("Errors", mapping.function));
        needed.push(("Throttles", mapping.function));
        let dead = named(&queues[mapping.queue]["RedrivePolicy"]["deadLetterTargetArn"]);
        needed.push((
            "ApproximateNumberOfMessagesVisible",
            dead.unwrap_or("its dead letters"),
        ));
    }
    let missing = needed
        .into_iter()
        .filter(|(metric, name)| !watched.contains(&((*metric).to_owned(), *name)));
    let mut faults: Vec<String> = missing
        .map(|(metric, name)| format!("no alarm on {metric} of {name}"))
        .collect();
    for (name, alarm) in alarms {
        if alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"
            && template.number(&alarm["Threshold"]) != Some(1)
        {
            faults.push(format!("{name} lets dead letters gather"));
        }
    }
    faults
}

pub(super) fn logs(template: &Template) -> Vec<String> {
    let groups = template.all("AWS::Logs::LogGroup");
    let mut faults = Vec::new();
    for (function, properties) in template.functions() {
        let group =
            named(&properties["LoggingConfig"]["LogGroup"]).and_then(|name| groups.get(name));
        if group
            .and_then(|group| template.number(&group["RetentionInDays"]))
            .is_none()
        {
            faults.push(format!("{function} logs for ever, or elsewhere"));
        }
    }
    faults
}
