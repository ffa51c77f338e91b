//! `swath doctor`: whether a deployment can be worked with.

use serde::Serialize;
use swath_cloud::clock::{Clock as _, SystemClock};
use swath_cloud::http::{self, Timeouts};
use swath_core::chain;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::arguments::DoctorArgs;
use super::deployment::Deployment;
use super::error::AwsError;
use crate::exit::Exit;
use crate::run;

/// Signed requests are refused when the clocks are further apart.
const SKEW_SECONDS: i64 = 300;

#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    ok: bool,
    detail: String,
}

/// Looks at one thing after the other and says what it finds.
pub(super) async fn doctor(arguments: &DoctorArgs) -> Result<Exit, AwsError> {
    let found = Deployment::find(&arguments.deployment).await;
    let mut findings = vec![match &found {
        Ok(deployment) => well(
            "deployment",
            format!("{} in {}", deployment.name, place(deployment)),
        ),
        Err(error) => ill("deployment", chain(error)),
    }];
    if let Ok(deployment) = &found {
        findings.push(conditions(deployment).await);
        findings.push(clock(deployment).await);
        findings.push(dead_letters(deployment).await);
    }
    for finding in &findings {
        if arguments.json {
            run::print_json(finding);
        } else {
            let verdict = if finding.ok { "ok  " } else { "FAIL" };
            run::print_text(&format!(
                "{verdict} {:<12} {}\n",
                finding.check, finding.detail
            ));
        }
    }
    Ok(if findings.iter().all(|finding| finding.ok) {
        Exit::Done
    } else {
        Exit::Deployment
    })
}

fn well(check: &'static str, detail: impl Into<String>) -> Finding {
    Finding {
        check,
        ok: true,
        detail: detail.into(),
    }
}

fn ill(check: &'static str, detail: impl Into<String>) -> Finding {
    Finding {
        check,
        ok: false,
        detail: detail.into(),
    }
}

fn place(deployment: &Deployment) -> String {
    match &deployment.endpoint {
        Some(endpoint) => format!("an emulator at {endpoint}, {}", deployment.region),
        None => format!("AWS, {}", deployment.region),
    }
}

/// Whether commits can be told apart from one another: the lake's bucket must honour conditions.
async fn conditions(deployment: &Deployment) -> Finding {
    let pointer = match deployment.lake() {
        Ok((pointer, _)) => pointer,
        Err(error) => return ill("lake", chain(&error)),
    };
    match pointer.probe().await {
        Ok(()) => well("lake", "its bucket puts on condition"),
        Err(error) => ill("lake", chain(&error)),
    }
}

async fn clock(deployment: &Deployment) -> Finding {
    let aws = || format!("https://sqs.{}.amazonaws.com/", deployment.region);
    let url = deployment.endpoint.clone().unwrap_or_else(aws);
    let client = match http::for_apis(Timeouts::default()) {
        Ok(client) => client,
        Err(error) => return ill("clock", chain(&error)),
    };
    let answer = match client.get(&url).send().await {
        Ok(answer) => answer,
        Err(error) => return ill("clock", chain(&error.without_url())),
    };
    let date = answer
        .headers()
        .get("date")
        .and_then(|date| date.to_str().ok());
    let Some(theirs) = date.and_then(|date| OffsetDateTime::parse(date, &Rfc2822).ok()) else {
        return ill("clock", format!("{url} does not say what time it is"));
    };
    let apart = (SystemClock.now() - theirs).whole_seconds();
    if apart.abs() < SKEW_SECONDS {
        well("clock", format!("{apart} s apart"))
    } else {
        ill(
            "clock",
            format!("{apart} s apart: signed requests are refused"),
        )
    }
}

async fn dead_letters(deployment: &Deployment) -> Finding {
    let mut dead = Vec::new();
    for queues in &deployment.queues {
        match deployment.depth(&queues.dead).await {
            Ok(depth) if depth.waiting + depth.under_way == 0 => {}
            Ok(depth) => dead.push(format!(
                "{} {}",
                queues.function.name(),
                depth.waiting + depth.under_way
            )),
            Err(error) => return ill("dead letters", chain(&error)),
        }
    }
    if dead.is_empty() {
        well("dead letters", "none")
    } else {
        ill("dead letters", dead.join(", "))
    }
}
