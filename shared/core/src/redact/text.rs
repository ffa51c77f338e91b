//! Secrets in texts that are no message of ours: what a host said, what a broken document holds.

use std::borrow::Cow;

use serde_json::Value;

const SHOWN: &str = "[redacted]";

/// What the names end with whose values are nobody's business, without hyphens and underscores.
const WORDS: [&str; 11] = [
    "authorization",
    "cookie",
    "apikey",
    "subscriptionkey",
    "securitytoken",
    "secretaccesskey",
    "sessiontoken",
    "accesstoken",
    "refreshtoken",
    "clientsecret",
    "password",
];

/// Says whether a value is a secret by its name, such as `Set-Cookie` or `aws_secret_access_key`.
fn is_secret(name: &str) -> bool {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    let name: String = letters.map(|letter| letter.to_ascii_lowercase()).collect();
    WORDS.iter().any(|word| name.ends_with(word))
}

/// Returns a value with each of its texts as [`redact_text`] shows it, and without those whose names say that they are secret.
pub fn redact_value(value: Value) -> Value {
    match value {
        Value::String(text) => redact_text(&text).into_owned().into(),
        Value::Array(values) => values.into_iter().map(redact_value).collect(),
        Value::Object(members) => {
            let shown = members.into_iter().map(|(name, value)| {
                let is_secret = is_secret(&name);
                let value = if is_secret {
                    SHOWN.into()
                } else {
                    redact_value(value)
                };
                (name, value)
            });
            shown.collect()
        }
        other => other,
    }
}

/// Returns a text without what its addresses have of user, password, query and fragment, and without the values that stand
/// after words such as `Authorization:` or `"password":`. It is for showing: what is kept as evidence stays as it came.
pub fn redact_text(text: &str) -> Cow<'_, str> {
    match without_queries(text) {
        Cow::Borrowed(text) => without_values(text),
        Cow::Owned(text) => Cow::Owned(without_values(&text).into_owned()),
    }
}

/// Leaves out what addresses have of user, password, query and fragment.
fn without_queries(text: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        let ends = |letter: char| {
            letter.is_whitespace() || letter.is_control() || "\"'<>\\`|^{}".contains(letter)
        };
        let (address, after) = after.split_at(after.find(ends).unwrap_or(after.len()));
        rest = after;
        shown.push_str(before);
        shown.push_str("://");
        let (host, below) =
            address.split_at(address.find(['/', '?', '#']).unwrap_or(address.len()));
        match host.rsplit_once('@') {
            Some((_, host)) => shown.extend([SHOWN, "@", host]),
            None => shown.push_str(host),
        }
        let path = below.find(['?', '#']).map_or(below.len(), |mark| mark + 1);
        let (path, query) = below.split_at(path);
        shown.push_str(path);
        if !query.is_empty() {
            shown.push_str(SHOWN);
        }
    }
    if shown.is_empty() {
        return Cow::Borrowed(text);
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

/// Leaves out the values that stand after words for secrets.
fn without_values(text: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((begin, end)) = after_word(rest) {
        shown.push_str(rest.get(..begin).unwrap_or_default());
        shown.push_str(SHOWN);
        rest = rest.get(end..).unwrap_or_default();
    }
    if shown.is_empty() {
        return Cow::Borrowed(text);
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

/// Finds the first value that stands after one of the words and `:` or `=`, to its closing quote or to the end of its line.
fn after_word(text: &str) -> Option<(usize, usize)> {
    let marks = text.match_indices([':', '=']).map(|(at, _)| at);
    for at in marks {
        let before = text.get(..at)?.trim_end_matches(['"', '\'', '\\', ' ']);
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
        let word = before.trim_end_matches(is_part).len();
        if !is_secret(before.get(word..)?) {
            continue;
        }
        let value = text.get(at + 1..)?;
        let begin = value.len() - value.trim_start_matches([' ', '\\', '"', '\'']).len();
        let is_quoted = value.get(..begin)?.contains(['"', '\'']);
        let value = value.get(begin..)?;
        let ends = |letter: char| {
            matches!(letter, '\n' | '\r' | '"') || is_quoted && matches!(letter, '\'' | '\\')
        };
        let length = value.find(ends).unwrap_or(value.len());
        if length > 0 && value.get(..length) != Some(SHOWN) {
            return Some((at + 1 + begin, at + 1 + begin + length));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_shown_of_a_broken_document_holds_no_secrets() {
        for (text, shown) in [
            (
                r#"{"href":"https://a.example/b.tif?X-Amz-Signature=canary&c=1","x":"#,
                r#"{"href":"https://a.example/b.tif?[redacted]","x":"#,
            ),
            (
                "see https://me:canary@a.example/b#canary and s3://b/k",
                "see https://[redacted]@a.example/b#[redacted] and s3://b/k",
            ),
            (
                "GET / HTTP/1.1\r\nAuthorization: Bearer canary\r\nHost: a",
                "GET / HTTP/1.1\r\nAuthorization: [redacted]\r\nHost: a",
            ),
            (
                r#"{"headers":{"authorization": "Basic canary==", "X-Api-Key":"canary"}, "id": 1"#,
                r#"{"headers":{"authorization": "[redacted]", "X-Api-Key":"[redacted]"}, "id": 1"#,
            ),
            (
                r#"{"body":"{\"Authorization\":\"canary\",\"id\":\"i\"}"#,
                r#"{"body":"{\"Authorization\":\"[redacted]\",\"id\":\"i\"}"#,
            ),
            (
                "aws_secret_access_key = canary",
                "aws_secret_access_key = [redacted]",
            ),
            (
                "set-cookie: sid=canary\nproxy-authorization: canary",
                "set-cookie: [redacted]\nproxy-authorization: [redacted]",
            ),
            ("password=", "password="),
            ("https://a.example/?", "https://a.example/?"),
            ("a: b, c = d; é", "a: b, c = d; é"),
        ] {
            assert_eq!(redact_text(text), shown);
            assert_eq!(redact_text(shown), shown, "once is enough");
        }
    }

    #[test]
    fn what_is_shown_of_a_value_holds_no_secrets_by_their_names() {
        let value = json!({
            "id": "i", "n": 1.5, "auth": {"Authorization": "Bearer canary", "X-Api-Key": ["canary"]},
            "links": [{"href": "https://a.example/b?sig=canary"}],
        });
        let shown = json!({
            "id": "i", "n": 1.5, "auth": {"Authorization": "[redacted]", "X-Api-Key": "[redacted]"},
            "links": [{"href": "https://a.example/b?[redacted]"}],
        });
        assert_eq!(redact_value(value), shown);
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_text_it_comes_to_an_end(text in "[a:/?@#\"' \\\\é=\n]{0,40}(password|https://)?[a:/?@#\"' =\n]{0,20}") {
            let shown = redact_text(&text).into_owned();
            proptest::prop_assert_eq!(redact_text(&shown).into_owned(), shown.clone());
        }
    }
}
