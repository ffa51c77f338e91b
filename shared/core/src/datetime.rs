//! Instants and intervals as people write them, made into those that STAC APIs take.

use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime, Time};

use crate::stac::parse_datetime;

/// Text that is no instant or interval.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DatetimeError {
    /// Neither a date nor an instant.
    #[error(
        "{0:?} is no date: use 2024, 2024-06, 2024-06-15, 2024-06-15T12:00:00Z, two of them with a / between, or .. for an open end"
    )]
    NotADate(String),
    /// More than two ends.
    #[error("{0:?} has more than one /")]
    TooManyEnds(String),
    /// No end is given.
    #[error("{0:?} is open at both ends: leave the datetime out to search all time")]
    Open(String),
    /// The end lies before the begin.
    #[error("{0:?} ends before it begins")]
    Backwards(String),
}

/// Expands years, months and days to intervals in UTC and leaves instants as they are: `2024-06/2024-08` becomes
/// `2024-06-01T00:00:00Z/2024-08-31T23:59:59Z`; an end that is `..` or empty is open.
///
/// # Errors
/// When the text is no instant or interval, or ends before it begins.
pub fn expand(text: &str) -> Result<String, DatetimeError> {
    let text = text.trim();
    let parts: Vec<&str> = text.split('/').map(str::trim).collect();
    match *parts.as_slice() {
        [one] => {
            let span = Span::parse(one)?;
            Ok(match span.instant {
                Some(instant) => instant,
                None => format!("{}/{}", written(span.begin), written(span.end)),
            })
        }
        [begin, end] => interval(text, begin, end),
        _ => Err(DatetimeError::TooManyEnds(text.to_owned())),
    }
}

/// Cuts an expanded interval in the middle; both halves hold that moment. `None` for an instant, an interval with an open
/// end, or one too short to be cut.
pub fn halves(expanded: &str) -> Option<[String; 2]> {
    let (begin, end) = expanded.split_once('/')?;
    let (from, to) = (parse_datetime(begin)?, parse_datetime(end)?);
    let span: time::Duration = to - from;
    if span < time::Duration::seconds(2) {
        return None;
    }
    let middle: OffsetDateTime = from + span / 2;
    let middle = written(middle.replace_nanosecond(0).ok()?);
    Some([format!("{begin}/{middle}"), format!("{middle}/{end}")])
}

fn interval(text: &str, begin: &str, end: &str) -> Result<String, DatetimeError> {
    let open = |part: &str| part.is_empty() || part == "..";
    let parse = |part: &str| {
        if open(part) {
            Ok(None)
        } else {
            Span::parse(part).map(Some)
        }
    };
    let (begin, end) = (parse(begin)?, parse(end)?);
    if let (Some(begin), Some(end)) = (&begin, &end)
        && begin.begin > end.end
    {
        return Err(DatetimeError::Backwards(text.to_owned()));
    }
    if begin.is_none() && end.is_none() {
        return Err(DatetimeError::Open(text.to_owned()));
    }
    let shown = |span: Option<Span>, moment: fn(&Span) -> OffsetDateTime| match span {
        None => "..".to_owned(),
        Some(Span {
            instant: Some(instant),
            ..
        }) => instant,
        Some(span) => written(moment(&span)),
    };
    Ok(format!(
        "{}/{}",
        shown(begin, |span| span.begin),
        shown(end, |span| span.end)
    ))
}

/// What one date or instant covers.
struct Span {
    begin: OffsetDateTime,
    end: OffsetDateTime,
    /// As it is sent, when it is an instant.
    instant: Option<String>,
}

impl Span {
    fn parse(text: &str) -> Result<Self, DatetimeError> {
        let wrong = || DatetimeError::NotADate(text.to_owned());
        if let Some((first, last)) = days(text) {
            let last_second = Time::from_hms(23, 59, 59).map_err(|_| wrong())?;
            return Ok(Self {
                begin: first.midnight().assume_utc(),
                end: last.with_time(last_second).assume_utc(),
                instant: None,
            });
        }
        let moment = parse_datetime(text).ok_or_else(wrong)?;
        let is_strict = OffsetDateTime::parse(text, &Rfc3339).is_ok() && !text.contains(' ');
        let instant = if is_strict {
            text.to_owned()
        } else {
            written(moment)
        };
        Ok(Self {
            begin: moment,
            end: moment,
            instant: Some(instant),
        })
    }
}

/// Returns the first and last day of a year, month or day.
fn days(text: &str) -> Option<(Date, Date)> {
    let number = |part: &str, digits: usize| -> Option<u16> {
        let right = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
        if right { part.parse().ok() } else { None }
    };
    let month = |part: &str| Month::try_from(u8::try_from(number(part, 2)?).ok()?).ok();
    let parts: Vec<&str> = text.split('-').collect();
    let year = i32::from(number(parts.first()?, 4)?);
    match *parts.as_slice() {
        [_] => Some((
            Date::from_calendar_date(year, Month::January, 1).ok()?,
            Date::from_calendar_date(year, Month::December, 31).ok()?,
        )),
        [_, of] => {
            let month = month(of)?;
            Some((
                Date::from_calendar_date(year, month, 1).ok()?,
                Date::from_calendar_date(year, month, month.length(year)).ok()?,
            ))
        }
        [_, of, day] => {
            let day = u8::try_from(number(day, 2)?).ok()?;
            let date = Date::from_calendar_date(year, month(of)?, day).ok()?;
            Some((date, date))
        }
        _ => None,
    }
}

fn written(moment: OffsetDateTime) -> String {
    // Years of four digits, which is all that is read above, can always be written.
    moment.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_become_the_intervals_that_they_mean() {
        for (text, expanded) in [
            ("2024", "2024-01-01T00:00:00Z/2024-12-31T23:59:59Z"),
            ("2024-02", "2024-02-01T00:00:00Z/2024-02-29T23:59:59Z"),
            ("2023-02", "2023-02-01T00:00:00Z/2023-02-28T23:59:59Z"),
            ("2024-06-15", "2024-06-15T00:00:00Z/2024-06-15T23:59:59Z"),
            (
                "2024-06/2024-08",
                "2024-06-01T00:00:00Z/2024-08-31T23:59:59Z",
            ),
            (
                "2023/2024-06-15",
                "2023-01-01T00:00:00Z/2024-06-15T23:59:59Z",
            ),
            ("2024-06/..", "2024-06-01T00:00:00Z/.."),
            ("../2024", "../2024-12-31T23:59:59Z"),
            ("2024-06/", "2024-06-01T00:00:00Z/.."),
            (
                "2024-06-15T12:00:00Z/2024-06",
                "2024-06-15T12:00:00Z/2024-06-30T23:59:59Z",
            ),
        ] {
            assert_eq!(expand(text).as_deref(), Ok(expanded), "{text}");
        }
    }

    #[test]
    fn an_instant_stays_an_instant() {
        for text in [
            "2024-06-15T12:00:00Z",
            "2024-06-15T12:00:00.040Z",
            "2024-06-15T14:00:00+02:00",
        ] {
            assert_eq!(expand(text).as_deref(), Ok(text));
        }
        assert_eq!(
            expand("2024-06-15 12:00:00").as_deref(),
            Ok("2024-06-15T12:00:00Z")
        );
    }

    #[test]
    fn an_interval_is_cut_in_the_middle_and_both_halves_hold_it() {
        let cut = halves("2024-01-01T00:00:00Z/2024-01-02T23:59:59.5Z").unwrap();
        assert_eq!(cut[0], "2024-01-01T00:00:00Z/2024-01-01T23:59:59Z");
        assert_eq!(cut[1], "2024-01-01T23:59:59Z/2024-01-02T23:59:59.5Z");
        for whole in [
            "2024-01-01T00:00:00Z",
            "2024-01-01T00:00:00Z/..",
            "2024-01-01T00:00:00Z/2024-01-01T00:00:01Z",
        ] {
            assert_eq!(halves(whole), None, "{whole}");
        }
    }

    #[test]
    fn what_is_no_time_is_named() {
        for text in [
            "soon",
            "",
            "24",
            "2024-13",
            "2024-02-30",
            "2024-6",
            "2024-06-15T25:00:00Z",
            "2024/soon",
        ] {
            let error = expand(text).unwrap_err();
            assert!(
                matches!(error, DatetimeError::NotADate(_)),
                "{text}: {error}"
            );
        }
        assert_eq!(
            expand("2025/2024"),
            Err(DatetimeError::Backwards("2025/2024".into()))
        );
        assert_eq!(expand("../.."), Err(DatetimeError::Open("../..".into())));
        assert_eq!(
            expand("2024/2025/2026"),
            Err(DatetimeError::TooManyEnds("2024/2025/2026".into()))
        );
    }
}
