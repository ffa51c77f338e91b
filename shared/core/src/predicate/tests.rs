use serde_json::json;

use super::*;

fn holds(text: &str) -> bool {
    let row = json!({
        "is_out_file_valid": false,
        "error_class": "transient",
        "error_code": "cut_short",
        "attempts": 5,
        "error": "it's 50% there",
        "etag": null,
    });
    let predicate: Predicate = text.parse().unwrap();
    predicate.holds(&|column| row.get(column))
}

#[test]
fn rows_are_told_apart_as_sql_does() {
    for (text, expected) in [
        ("is_out_file_valid = false", true),
        ("NOT is_out_file_valid", true),
        ("is_out_file_valid", false),
        ("error_class = 'transient' and attempts >= 5", true),
        ("attempts <> 5 OR attempts < 5.5", true),
        ("attempts > -1 AND NOT (attempts <= 4)", true),
        ("error_code IN ('gone', 'cut_short')", true),
        ("error_code NOT IN ('gone')", true),
        ("error_code like 'cut%'", true),
        ("error_code LIKE '_ut_shor_'", true),
        ("error_code NOT LIKE '%short'", false),
        ("error LIKE '%''s 50%'", true),
        ("\"error_class\" != 'invalid'", true),
        ("etag IS NULL AND error IS NOT NULL", true),
        ("attempts = 5 OR attempts = 6 AND error_class = 'no'", true),
        ("attempts = '5'", false),
    ] {
        assert_eq!(holds(text), expected, "{text}");
    }
}

#[test]
fn an_absent_value_is_neither_equal_nor_unequal() {
    for text in [
        "etag = 'x'",
        "etag <> 'x'",
        "NOT etag = 'x'",
        "etag NOT IN ('x')",
        "etag LIKE '%'",
    ] {
        assert!(!holds(text), "{text}");
    }
    assert!(holds("etag = 'x' OR attempts = 5"));
    assert!(!holds("NOT (etag = 'x' AND attempts = 5)"));
    assert!(holds("NOT (etag = 'x' AND attempts = 6)"));
}

#[test]
fn what_is_no_predicate_is_refused_by_place() {
    for (text, says) in [
        ("", "a column, found the end"),
        ("a =", "found the end at byte 3"),
        ("a = b", "found b at byte 4"),
        ("a = 'x", "quote at byte 4"),
        ("a == 1", "found = at byte 3"),
        ("(a = 1", "closing parenthesis"),
        ("a = 1 b", "AND, OR or the end, found b"),
        ("a IN ()", "found )"),
        ("a IN (1", "a comma"),
        ("a LIKE 1", "a text"),
        ("a NOT = 1", "IN or LIKE"),
        ("a IS 1", "NULL"),
        ("a; DROP TABLE x", "';' at byte 1"),
        ("a = 1e999", "not understood"),
    ] {
        let error = text.parse::<Predicate>().unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
    let deep = "(".repeat(10_000) + "a" + &")".repeat(10_000);
    assert!(matches!(
        deep.parse::<Predicate>(),
        Err(PredicateError::TooLong { .. })
    ));
    let deep = "NOT ".repeat(40) + "a";
    assert_eq!(deep.parse::<Predicate>(), Err(PredicateError::TooDeep));
}

#[test]
fn a_column_that_the_table_lacks_is_named() {
    let predicate: Predicate = "a = 1 AND (b IS NULL OR NOT c)".parse().unwrap();
    assert_eq!(predicate.check_columns(&["a", "b", "c"]), Ok(()));
    let error = predicate.check_columns(&["a", "b"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no column \"c\"; there are a, b"
    );
}
