//! Takes secrets out of text that is about to be printed.

use std::borrow::Cow;

/// What a secret follows. The signatures and tokens of the clouds' signed addresses, and of headers.
const MARKS: [&str; 9] = [
    "sig=",
    "signature=",
    "x-amz-credential=",
    "x-amz-security-token=",
    "x-goog-credential=",
    "token=",
    "password=",
    "bearer ",
    "ocp-apim-subscription-key: ",
];

/// Returns the text with every secret that a signed address or a header carries replaced by `[redacted]`.
pub fn scrub(text: &str) -> Cow<'_, str> {
    let lower = text.to_ascii_lowercase();
    let mut clean = String::new();
    let mut copied = 0;
    while let Some(begin) = next_secret(&lower, copied) {
        let rest = text.get(begin..).unwrap_or_default();
        let length = rest.find(ends_secret).unwrap_or(rest.len());
        clean.push_str(text.get(copied..begin).unwrap_or_default());
        if length > 0 {
            clean.push_str("[redacted]");
        }
        copied = begin + length;
    }
    if clean.is_empty() {
        return Cow::Borrowed(text);
    }
    clean.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(clean)
}

/// Returns where the next secret begins, at or after `from`, in lower-case text.
fn next_secret(lower: &str, from: usize) -> Option<usize> {
    let rest = lower.get(from..)?;
    let ends = MARKS
        .iter()
        .filter_map(|mark| rest.find(mark).map(|at| from + at + mark.len()));
    ends.min()
}

fn ends_secret(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '&' | '"' | '\'' | '\\' | '<' | '>' | ',' | ';' | ')' | '}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn signed_addresses_and_headers_lose_their_secrets() {
        for (text, clean) in [
            (
                "GET https://h/a.tif?sv=1&sig=ab%2Fc&se=2: 403",
                "GET https://h/a.tif?sv=1&sig=[redacted]&se=2: 403",
            ),
            (
                r#"{"url":"https://h/?X-Amz-Signature=00ff","n":1}"#,
                r#"{"url":"https://h/?X-Amz-Signature=[redacted]","n":1}"#,
            ),
            (
                "Authorization: Bearer eyJ.x.y\nnext",
                "Authorization: Bearer [redacted]\nnext",
            ),
            ("ended in token=", "ended in token="),
            ("nothing here", "nothing here"),
        ] {
            assert_eq!(scrub(text), clean);
        }
    }

    proptest! {
        #[test]
        fn a_secret_never_survives_its_mark(
            before in ".{0,20}", mark in 0..MARKS.len(), after in "( .{0,20})?"
        ) {
            let text = format!("{before}{}CANARY0815{after}", MARKS[mark]);
            let clean = scrub(&text).into_owned();
            prop_assert!(!clean.contains("CANARY0815"), "{}", clean);
            prop_assert_eq!(scrub(&clean), clean.as_str());
        }
    }
}
