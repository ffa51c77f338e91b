//! Instants as the tables hold them: microseconds since 1970 in UTC.

use std::fmt::Write as _;

use swath_core::stac::parse_datetime;
use time::OffsetDateTime;

/// Reads an instant as STAC APIs spell it; what is finer than a microsecond is cut off.
pub(crate) fn parse(text: &str) -> Option<i64> {
    micros(parse_datetime(text)?)
}

/// Returns an instant's microseconds since 1970.
pub(crate) fn micros(instant: OffsetDateTime) -> Option<i64> {
    i64::try_from(instant.unix_timestamp_nanos().div_euclid(1000)).ok()
}

/// Returns the calendar year in UTC.
pub(crate) fn year(micros: i64) -> Option<i32> {
    Some(from_micros(micros)?.year())
}

fn from_micros(micros: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).ok()
}

/// Writes an instant in the one spelling that needs not be kept beside it: `Z`, no more digits than it takes.
pub(crate) fn spell(micros: i64) -> Option<String> {
    spell_nanos(from_micros(micros)?)
}

/// Writes an instant to its last digit; `None` for years that RFC 3339 cannot write.
pub(crate) fn spell_nanos(instant: OffsetDateTime) -> Option<String> {
    if !(0..=9999).contains(&instant.year()) {
        return None;
    }
    let (year, month, day) = instant.to_calendar_date();
    let (hour, minute, second, fraction) = instant.to_hms_nano();
    let mut text = String::with_capacity(30);
    let month = u8::from(month);
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
    );
    if fraction > 0 {
        let _ = write!(text, ".{fraction:09}");
        text.truncate(text.trim_end_matches('0').len());
    }
    text.push('Z');
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_spelt_with_no_more_digits_than_it_takes() {
        for text in [
            "2024-06-01T12:00:00Z",
            "2024-06-01T12:00:00.1Z",
            "1969-12-31T23:59:59.999999Z",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999Z",
        ] {
            assert_eq!(spell(parse(text).unwrap()).as_deref(), Some(text));
        }
        assert_eq!(
            year(parse("1969-12-31T23:59:59.9999999Z").unwrap()),
            Some(1969)
        );
        assert_eq!(
            year(parse("2024-12-31T23:30:00-01:00").unwrap()),
            Some(2025)
        );
    }
}
