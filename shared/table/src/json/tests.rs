//! The scanner beside `serde_json`'s.

use proptest::prelude::*;
use serde_json::Value;

use super::strings::plain;
use super::*;

/// Damages a text that has everything JSON has.
fn mutated() -> impl Strategy<Value = String> {
    let text = r#"{"a":[1,-0.5e+10,true,false,null,"x\n\"\u00e9\ud83d\ude00"],"b":{"":{},"c":[]},"z":" ","é":0}"#;
    let pieces = prop_oneof![
        any::<char>().prop_map(String::from),
        proptest::sample::select(vec![
            "\"", "\\", "\\u", "\\ud800", "{", "}", "[", "]", ",", ":", "0", "1", "-", ".", "e",
            " ", "\u{1}", "nul", ""
        ])
        .prop_map(str::to_owned),
    ];
    proptest::collection::vec((0..text.len(), 0..3_usize, pieces), 0..3).prop_map(move |edits| {
        let mut text: Vec<char> = text.chars().collect();
        for (at, cut, piece) in edits {
            let at = at.min(text.len());
            let end = (at + cut).min(text.len());
            text.splice(at..end, piece.chars());
        }
        text.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn the_scanner_and_serde_json_agree_on_what_is_json(text in mutated()) {
        let ours = canonical(&text);
        let theirs = serde_json::from_str::<Value>(&text);
        match (&ours, &theirs) {
            // Their last member wins; their numbers must be doubles.
            (Err(JsonError::Duplicate { .. }), Ok(_)) => {}
            (Ok(_), Err(error)) if error.to_string().contains("out of range") => {}
            _ => prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{} {:?} {:?}", text, ours, theirs),
        }
        if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
            prop_assert_eq!(serde_json::from_str::<Value>(&ours).unwrap(), theirs);
            prop_assert_eq!(canonical(&ours).unwrap(), ours);
        }
    }
}

#[test]
fn the_scanner_and_serde_json_agree_on_mutated_real_items() {
    let Some(items) = crate::items::tests::real_items() else {
        return;
    };
    let pieces: Vec<_> = "\" \\ \\u00 \\ud800 { } [ ] , : 0 1 - . e \u{1} nul"
        .split(' ')
        .collect();
    // Any sequence that is the same in every run.
    let mut state = 1_u64;
    let mut next = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(state >> 33).unwrap() % below
    };
    let small: Vec<_> = items.iter().filter(|item| item.len() < 8000).collect();
    let mut refused = 0;
    for _ in 0..5000 {
        let mut bytes = small[next(small.len())].clone().into_bytes();
        for _ in 0..=next(2) {
            let at = next(bytes.len());
            let end = (at + next(3)).min(bytes.len());
            bytes.splice(at..end, pieces[next(pieces.len())].bytes());
        }
        let text = String::from_utf8_lossy(&bytes);
        let ours = canonical(&text);
        let theirs = serde_json::from_str::<Value>(&text);
        match (&ours, &theirs) {
            (Err(JsonError::Duplicate { .. }), Ok(_)) => {}
            (Ok(_), Err(error)) if error.to_string().contains("out of range") => {}
            (Ok(ours), Ok(theirs)) => {
                assert_eq!(serde_json::from_str::<Value>(ours).unwrap(), *theirs);
            }
            _ => assert_eq!(ours.is_ok(), theirs.is_ok(), "{text} {ours:?} {theirs:?}"),
        }
        refused += usize::from(ours.is_err());
    }
    assert!((500..5000).contains(&refused), "{refused}");
}

#[test]
fn canonical_text_has_sorted_keys_no_space_and_few_escapes() {
    let text =
        " { \"b\" : [ 1.0 , 1e5 ] , \"a\\u0062\" : \"\\u00e9\\/\\u001f\\u0009\" , \"a\" : { } } ";
    assert_eq!(
        canonical(text).unwrap(),
        r#"{"a":{},"ab":"é/\u001f\t","b":[1.0,1e5]}"#
    );
}

#[test]
fn the_end_of_a_string_is_found_wherever_it_is() {
    for byte in 0..=u8::MAX {
        let is_special = matches!(byte, b'"' | b'\\' | 0..0x20);
        for (place, after) in [
            (0, 9),
            (3, 30),
            (7, 0),
            (8, 1),
            (13, 2),
            (21, 40),
            (31, 2),
            (32, 0),
            (45, 90),
        ] {
            // Neighbours that a borrow could reach.
            for other in [b'!', b'#', b'[', b']', b' ', 0x80, 0xff] {
                let mut bytes = vec![other; place];
                bytes.push(byte);
                bytes.resize(place + 1 + after, other);
                let end = if is_special { place } else { bytes.len() };
                assert_eq!(plain(&bytes), end, "{byte} {place} {other}");
                if byte >= 0x20 {
                    assert_eq!(unescaped(&bytes), end, "{byte} {place} {other}");
                }
                bytes.push(b'"');
                assert_eq!(plain(&bytes), end.min(bytes.len() - 1), "{byte} {place}");
            }
        }
    }
}

#[test]
fn depth_ends_at_its_limit_on_a_small_stack() {
    let check = || {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(canonical(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(canonical(&nested(MAX_DEPTH + 1)), Err(JsonError::Depth));
        assert_eq!(canonical(&nested(1_000_000)), Err(JsonError::Depth));
    };
    std::thread::Builder::new()
        .stack_size(256 << 10)
        .spawn(check)
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn an_item_beyond_all_use_is_refused_by_its_length() {
    let text = format!("\"{}\"", " ".repeat(MAX_BYTES));
    assert_eq!(
        canonical(&text),
        Err(JsonError::Length { bytes: text.len() })
    );
}
