//! `swath doctor`: whether a deployment can be worked with.

use aws_config::SdkConfig;
use serde::Serialize;
use serde_json::Value;
use swath_cloud::aws::{self, Call};
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

/// Bytes of an answer that are read.
const LARGEST: usize = 64 << 10;

/// Functions that run at once when there is much to do, by the template's defaults: four searches, ten downloads and ingests,
/// two commits, repairs and maintenances, and the five that the mappings of plan, list and write start with. An account may
/// begin with a quota of ten.
const AT_ONCE: u64 = 4 + 2 * 10 + 3 * 2 + 3 * 5;

#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    ok: bool,
    detail: String,
}

/// Looks at one thing after the other and says what it finds.
pub(super) async fn doctor(arguments: &DoctorArgs) -> Result<Exit, AwsError> {
    let found = Deployment::find(&arguments.deployment).await;
    let mut findings = vec![credentials().await];
    findings.push(match &found {
        Ok(deployment) => well(
            "deployment",
            format!("{} in {}", deployment.name, place(deployment)),
        ),
        Err(error) => ill("deployment", chain(error)),
    });
    if let Ok(deployment) = &found {
        findings.push(conditions(deployment).await);
        findings.push(clock(deployment).await);
        findings.push(quota(deployment).await);
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

/// Whose credentials they are.
async fn credentials() -> Finding {
    let shared = aws::load().await;
    let Some(region) = shared.region() else {
        return ill("credentials", chain(&AwsError::Region));
    };
    let path = "/?Action=GetCallerIdentity&Version=2011-06-15";
    let said = match ask(&shared, ("sts", region.as_ref()), path).await {
        Ok(said) => said,
        Err(reason) => return ill("credentials", reason),
    };
    let arn = said
        .split_once("<Arn>")
        .and_then(|(_, rest)| rest.split_once("</Arn>"));
    match arn {
        Some((arn, _)) => well("credentials", arn),
        None => ill("credentials", "AWS does not say whose they are"),
    }
}

/// Whether as many functions may run at once as the deployment would like to.
async fn quota(deployment: &Deployment) -> Finding {
    let path = "/2016-08-19/account-settings/";
    let asked = ask(&deployment.shared, ("lambda", &deployment.region), path).await;
    let said: Value = match asked.map(|said| serde_json::from_str(&said)) {
        Ok(Ok(said)) => said,
        Ok(Err(error)) => return ill("quota", chain(&error)),
        Err(reason) => return ill("quota", reason),
    };
    let most = said.pointer("/AccountLimit/UnreservedConcurrentExecutions");
    match most.and_then(Value::as_u64) {
        Some(most) if most >= AT_ONCE => well(
            "quota",
            format!("{most} functions at once, {AT_ONCE} are of use"),
        ),
        Some(most) => ill(
            "quota",
            format!(
                "{most} functions at once, fewer than the {AT_ONCE} that are of use: ask for Lambda's quota `Concurrent executions`"
            ),
        ),
        None => ill(
            "quota",
            "AWS does not say how many functions may run at once",
        ),
    }
}

/// Asks a service of a region something that needs no body.
async fn ask(
    shared: &SdkConfig,
    (service, region): (&str, &str),
    path: &str,
) -> Result<String, String> {
    let host = || format!("https://{service}.{region}.amazonaws.com");
    let url = shared
        .endpoint_url()
        .map_or_else(host, |url| url.trim_end_matches('/').to_owned())
        + path;
    let http = http::for_apis(Timeouts::default()).map_err(|error| chain(&error))?;
    let call = Call {
        method: "GET",
        url: &url,
        body: "",
        service,
        region,
        headers: &[],
    };
    let request = call.signed(&http, shared, SystemClock.now()).await?;
    let answer = request
        .send()
        .await
        .map_err(|error| chain(&error.without_url()))?;
    let status = answer.status();
    if !status.is_success() {
        return Err(format!("{service} answers with status {status}"));
    }
    let bytes = http::read_body(answer, LARGEST)
        .await
        .map_err(|error| chain(&error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
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
