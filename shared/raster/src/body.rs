//! Bodies that are an error message and not the file that was asked for.

use crate::kind::{Kind, lowercase_start};
use crate::source::Stop;
use crate::verdict::Code;

/// Names in storage services' error documents that ask to come back later.
const THROTTLE: [&str; 14] = [
    "slowdown",
    "serverbusy",
    "internalerror",
    "serviceunavailable",
    "operationtimedout",
    "requesttimeout",
    "toomanyrequests",
    "throttling",
    "throttlingexception",
    "requestlimitexceeded",
    "bandwidthlimitexceeded",
    "ratelimitexceeded",
    "egressisoveraccountlimit",
    "ingressisoveraccountlimit",
];

/// Names in storage services' error documents that are about credentials or rights.
const DENIED: [&str; 18] = [
    "accessdenied",
    "allaccessdisabled",
    "authenticationfailed",
    "authenticationrequired",
    "authorizationfailure",
    "authorizationpermissionmismatch",
    "expiredtoken",
    "insufficientaccountpermissions",
    "invalidaccesskeyid",
    "invalidauthenticationinfo",
    "invalidtoken",
    "noauthenticationinformation",
    "publicaccessnotpermitted",
    "requestexpired",
    "requesttimetooskewed",
    "signaturedoesnotmatch",
    "tokenrefreshrequired",
    "userprojectmissing",
];

const MISSING: [&str; 8] = [
    "blobnotfound",
    "containernotfound",
    "nosuchbucket",
    "nosuchkey",
    "nosuchversion",
    "notfound",
    "resourcenotfound",
    "accountisdisabled",
];

const LOGIN: [&str; 11] = [
    "urs.earthdata.nasa.gov",
    "earthdata login",
    "login.microsoftonline.com",
    "accounts.google.com",
    "type=\"password\"",
    "type='password'",
    "<title>login",
    "<title>log in",
    "<title>sign in",
    "please log in",
    "session has expired",
];

/// Words in a JSON error that ask to come back later, and words about credentials or rights.
const JSON_THROTTLE: [&str; 7] = [
    "\"slowdown\"",
    "too many requests",
    "throttl",
    "rate limit",
    "unavailable",
    "\"status\":429",
    "\"status\":503",
];
const JSON_DENIED: [&str; 9] = [
    "unauthorized",
    "forbidden",
    "access denied",
    "accessdenied",
    "expired",
    "invalid token",
    "not authorized",
    "authentication",
    "credentials",
];

/// Ends the check if the body is an error message, or a text document where a raster was promised.
pub(crate) fn refuse_errors(kind: Kind, head: &[u8], promised: Option<Kind>) -> Result<(), Stop> {
    let raster = promised.is_some_and(Kind::is_raster);
    match kind {
        Kind::Html if promised != Some(Kind::Html) => Err(html(head, promised)),
        Kind::Xml => xml(head, raster),
        Kind::Json if raster => Err(json(head, promised)),
        _ => Ok(()),
    }
}

fn instead(promised: Option<Kind>) -> String {
    promised
        .map(|kind| format!(" instead of {kind}"))
        .unwrap_or_default()
}

fn html(head: &[u8], promised: Option<Kind>) -> Stop {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let title = between(&text, "<title>", "</title>")
        .map(str::trim)
        .unwrap_or_default();
    let title = if title.is_empty() {
        String::new()
    } else {
        format!(" titled {:?}", short(title))
    };
    let instead = instead(promised);
    if LOGIN.iter().any(|mark| text.contains(mark)) {
        return Stop::new(
            Code::ErrorBodyLogin,
            format!("the body is a login page{title}{instead}"),
        );
    }
    Stop::new(
        Code::ErrorBodyHtml,
        format!("the body is an HTML page{title}{instead}"),
    )
}

/// XML is an error if its root is `Error` or if a raster was promised; else it is a document to keep.
fn xml(head: &[u8], raster: bool) -> Result<(), Stop> {
    let start = lowercase_start(head);
    let root = root_name(&start);
    let is_error = matches!(
        root,
        "error" | "errorresponse" | "serviceexceptionreport" | "exceptionreport"
    );
    if !is_error && !raster {
        return Ok(());
    }
    if !is_error {
        return Err(Stop::new(
            Code::ErrorBodyXml,
            format!("the body is an XML document <{}>", short(root)),
        ));
    }
    let name = between(&start, "<code>", "</code>")
        .unwrap_or_default()
        .trim();
    let code = if THROTTLE.contains(&name) || name == "503" || name == "429" {
        Code::ErrorBodyXmlThrottle
    } else if DENIED.contains(&name) {
        Code::ErrorBodyXmlDenied
    } else if MISSING.contains(&name) {
        Code::ErrorBodyXmlMissing
    } else {
        Code::ErrorBodyXml
    };
    let name = if name.is_empty() {
        "without a code"
    } else {
        name
    };
    Err(Stop::new(
        code,
        format!("the body is an XML error: {}", short(name)),
    ))
}

fn json(head: &[u8], promised: Option<Kind>) -> Stop {
    let text: String = lowercase_start(head);
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let has = |marks: &[&str]| {
        marks
            .iter()
            .any(|mark| text.contains(mark) || compact.contains(mark))
    };
    let code = if has(&JSON_THROTTLE) {
        Code::ErrorBodyJsonThrottle
    } else if has(&JSON_DENIED) {
        Code::ErrorBodyJsonDenied
    } else {
        Code::ErrorBodyJson
    };
    Stop::new(
        code,
        format!("the body is a JSON document{}", instead(promised)),
    )
}

/// The name of the root element, without its prefix, in text that is already lowercase.
pub(crate) fn root_name(text: &str) -> &str {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('<') {
        if after.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            let name = after
                .split(|c: char| c.is_whitespace() || c == '>' || c == '/')
                .next()
                .unwrap_or_default();
            return name.rsplit(':').next().unwrap_or_default();
        }
        let end = if after.starts_with("!--") { "-->" } else { ">" };
        rest = after.split_once(end).map_or("", |(_, after)| after);
    }
    ""
}

fn between<'t>(text: &'t str, open: &str, close: &str) -> Option<&'t str> {
    let (_, after) = text.split_once(open)?;
    after.split_once(close).map(|(inside, _)| inside)
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}
