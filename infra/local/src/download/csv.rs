//! CSV as RFC 4180 has it, with or without carriage returns.

/// Splits a text into records; quotes may hold commas, line ends and doubled quotes. Empty lines are left out.
pub(super) fn records(text: &str) -> Vec<Vec<String>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut records, mut record, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut any) = (false, false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' if quoted || field.is_empty() => {
                quoted = !quoted;
                any = true;
            }
            ',' if !quoted => {
                record.push(std::mem::take(&mut field));
                any = true;
            }
            '\r' if !quoted && letters.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                if any || !field.is_empty() {
                    record.push(std::mem::take(&mut field));
                    records.push(std::mem::take(&mut record));
                }
                any = false;
            }
            other => field.push(other),
        }
    }
    if any || !field.is_empty() {
        record.push(field);
        records.push(record);
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_what_else_would_end_a_field() {
        let text = "\u{feff}a,b\r\n\"x,1\",\"say \"\"hi\"\"\nthere\"\n\n,last\n1,";
        let expected = [
            vec!["a", "b"],
            vec!["x,1", "say \"hi\"\nthere"],
            vec!["", "last"],
            vec!["1", ""],
        ];
        assert_eq!(records(text), expected);
        assert!(records("").is_empty());
    }
}
