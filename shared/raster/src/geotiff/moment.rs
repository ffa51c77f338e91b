//! When an image was taken: out of its tags, or out of its name.

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

/// What the characters of a pattern's field stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Year,
    Month,
    Day,
    DayOfYear,
    Hour,
    Minute,
    Second,
}

const FIELDS: [(&str, Part, usize); 7] = [
    ("YYYY", Part::Year, 4),
    ("MM", Part::Month, 2),
    ("DDD", Part::DayOfYear, 3),
    ("DD", Part::Day, 2),
    ("hh", Part::Hour, 2),
    ("mm", Part::Minute, 2),
    ("ss", Part::Second, 2),
];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Literal(char),
    /// Any one character.
    One,
    /// Any characters, as few as will do.
    Any,
    Field(Part, usize),
}

/// Where a name holds its datetime: `*_{YYYY}{MM}{DD}T{hh}{mm}{ss}_*`.
///
/// `*` stands for any characters, `?` for one; fields are `{YYYY}`, `{MM}`, `{DD}`, `{DDD}` (day of the year), `{hh}`,
/// `{mm}` and `{ss}`. The whole name has to match. What is left out is the beginning: no `{hh}` is midnight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern {
    tokens: Vec<Token>,
}

/// A pattern that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PatternError {
    /// A field that does not exist, or is not closed.
    #[error(
        "the pattern has the unknown field {{{0}; there are {{YYYY}} {{MM}} {{DD}} {{DDD}} {{hh}} {{mm}} {{ss}}"
    )]
    Field(String),
    /// Without a year there is no datetime.
    #[error("the pattern names no year: {{YYYY}} is missing")]
    NoYear,
}

impl std::str::FromStr for NamePattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let mut tokens = Vec::new();
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            rest = rest.get(letter.len_utf8()..).unwrap_or_default();
            tokens.push(match letter {
                '*' => Token::Any,
                '?' => Token::One,
                '{' => {
                    let unknown = || PatternError::Field(rest.to_owned());
                    let (name, after) = rest.split_once('}').ok_or_else(unknown)?;
                    let field = FIELDS.iter().find(|(field, ..)| *field == name);
                    let (_, part, width) = field.ok_or_else(unknown)?;
                    rest = after;
                    Token::Field(*part, *width)
                }
                other => Token::Literal(other),
            });
        }
        let year = |token: &Token| matches!(token, Token::Field(Part::Year, _));
        if !tokens.iter().any(year) {
            return Err(PatternError::NoYear);
        }
        Ok(Self { tokens })
    }
}

impl NamePattern {
    /// Returns the instant that a name holds; none if the name does not match, or to no possible date.
    pub fn instant(&self, name: &str) -> Option<OffsetDateTime> {
        let letters: Vec<char> = name.chars().collect();
        // Ways through the stars are bounded, whatever the pattern.
        let mut steps = 10_000_u32;
        matched(&self.tokens, &letters, Found::default(), &mut steps)
    }
}

#[derive(Debug, Default, Clone, Copy)]
struct Found {
    year: Option<u32>,
    month: Option<u32>,
    day: Option<u32>,
    ordinal: Option<u32>,
    hour: u32,
    minute: u32,
    second: u32,
}

impl Found {
    fn set(&mut self, part: Part, value: u32) {
        match part {
            Part::Year => self.year = Some(value),
            Part::Month => self.month = Some(value),
            Part::Day => self.day = Some(value),
            Part::DayOfYear => self.ordinal = Some(value),
            Part::Hour => self.hour = value,
            Part::Minute => self.minute = value,
            Part::Second => self.second = value,
        }
    }

    fn instant(self) -> Option<OffsetDateTime> {
        let year = i32::try_from(self.year?).ok()?;
        let small = |value: u32| u8::try_from(value).ok();
        let date = if let Some(day) = self.ordinal {
            Date::from_ordinal_date(year, u16::try_from(day).ok()?).ok()?
        } else {
            let month = Month::try_from(small(self.month.unwrap_or(1))?).ok()?;
            Date::from_calendar_date(year, month, small(self.day.unwrap_or(1))?).ok()?
        };
        // A leap second is the last one of its minute.
        let second = small(self.second.min(if self.second == 60 { 59 } else { 60 }))?;
        let time = Time::from_hms(small(self.hour)?, small(self.minute)?, second).ok()?;
        Some(PrimitiveDateTime::new(date, time).assume_utc())
    }
}

fn matched(
    tokens: &[Token],
    letters: &[char],
    mut found: Found,
    steps: &mut u32,
) -> Option<OffsetDateTime> {
    *steps = steps.checked_sub(1)?;
    let Some((token, tokens)) = tokens.split_first() else {
        return letters.is_empty().then(|| found.instant()).flatten();
    };
    match token {
        Token::Any => {
            (0..=letters.len()).find_map(|skip| matched(tokens, letters.get(skip..)?, found, steps))
        }
        Token::One => matched(tokens, letters.get(1..)?, found, steps),
        Token::Literal(letter) => {
            let rest = letters
                .get(1..)
                .filter(|_| letters.first() == Some(letter))?;
            matched(tokens, rest, found, steps)
        }
        Token::Field(part, width) => {
            found.set(*part, digits(letters.get(..*width)?)?);
            matched(tokens, letters.get(*width..)?, found, steps)
        }
    }
}

fn digits(letters: &[char]) -> Option<u32> {
    letters
        .iter()
        .try_fold(0_u32, |sum, letter| Some(sum * 10 + letter.to_digit(10)?))
}

/// Finds the one datetime that a name holds without a pattern: `20240102T030405`, `2024-01-02`, `20240102`.
///
/// The digits must stand alone, the year lie from 1950 to 2099, and all such runs of a name must be the same instant or
/// begin with it: a name with two dates says nothing of its own accord.
pub(super) fn of_name(name: &str) -> Option<OffsetDateTime> {
    const SHAPES: [&str; 7] = [
        "{YYYY}{MM}{DD}T{hh}{mm}{ss}",
        "{YYYY}{MM}{DD}{hh}{mm}{ss}",
        "{YYYY}{MM}{DD}_{hh}{mm}{ss}",
        "{YYYY}-{MM}-{DD}T{hh}-{mm}-{ss}",
        "{YYYY}-{MM}-{DD}",
        "{YYYY}{MM}{DD}",
        "{YYYY}_{MM}_{DD}",
    ];
    let letters: Vec<char> = name.chars().collect();
    let mut found: Vec<OffsetDateTime> = Vec::new();
    let mut at = 0;
    while at < letters.len() {
        let after_digit = at.checked_sub(1).and_then(|before| letters.get(before));
        if after_digit.is_some_and(char::is_ascii_digit) {
            at += 1;
            continue;
        }
        let hit = SHAPES.iter().find_map(|shape| {
            let tokens = shape.parse::<NamePattern>().ok()?.tokens;
            let length: usize = tokens
                .iter()
                .map(|token| match token {
                    Token::Field(_, width) => *width,
                    _ => 1,
                })
                .sum();
            let ends = letters.get(at + length);
            if ends.is_some_and(char::is_ascii_digit) {
                return None;
            }
            let mut steps = 100;
            let window = letters.get(at..at + length)?;
            let instant = matched(&tokens, window, Found::default(), &mut steps)?;
            (1950..2100)
                .contains(&instant.year())
                .then_some((instant, length))
        });
        if let Some((instant, length)) = hit {
            found.push(instant);
            at += length;
        } else {
            at += 1;
        }
    }
    let finest = *found.iter().max()?;
    let same = |instant: &OffsetDateTime| {
        *instant == finest || (instant.date() == finest.date() && instant.time() == Time::MIDNIGHT)
    };
    found.iter().all(same).then_some(finest)
}

/// Reads TIFF's `2024:01:02 03:04:05`, or an instant as others write it into the same place.
pub(super) fn of_tag(text: &str) -> Option<OffsetDateTime> {
    let text = text.trim();
    "{YYYY}:{MM}:{DD} {hh}:{mm}:{ss}"
        .parse::<NamePattern>()
        .ok()?
        .instant(text)
        .or_else(|| swath_core::stac::parse_datetime(text))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_name_says_when_if_it_says_so_once() {
        let day = datetime!(2024-01-02 00:00 UTC);
        let second = datetime!(2024-01-02 03:04:05 UTC);
        for (name, expected) in [
            ("S2A_20240102T030405_B04", Some(second)),
            ("S2A_20240102030405", Some(second)),
            ("LC08_20240102_20240102_T1", Some(day)),
            ("x-2024-01-02-y", Some(day)),
            ("2024_01_02", Some(day)),
            ("20240102T030405_20240102", Some(second)),
            ("LC08_20240102_20240117_T1", None),
            ("tile_120240102", None),
            ("n20241302", None),
            ("19000102", None),
            ("plain", None),
        ] {
            assert_eq!(of_name(name), expected, "{name}");
        }
    }

    #[test]
    fn a_pattern_finds_its_fields_and_nothing_else() {
        let pattern: NamePattern = "*_A{YYYY}{DDD}.*".parse().unwrap();
        let first = datetime!(2021-02-01 00:00 UTC);
        assert_eq!(pattern.instant("MOD_A2021032.h10v05"), Some(first));
        assert_eq!(pattern.instant("MOD_A2021400.h10v05"), None);
        assert_eq!(pattern.instant("MOD_2021032"), None);
        let stars: NamePattern = "********************{YYYY}x".parse().unwrap();
        assert_eq!(stars.instant(&"1".repeat(200)), None);
        assert_eq!(
            "{YY}".parse::<NamePattern>(),
            Err(PatternError::Field("YY}".to_owned()))
        );
        assert_eq!("{MM}".parse::<NamePattern>(), Err(PatternError::NoYear));
    }

    #[test]
    fn tags_are_read_as_tiff_and_as_others_write_them() {
        let second = datetime!(2024-01-02 03:04:05 UTC);
        assert_eq!(of_tag("2024:01:02 03:04:05"), Some(second));
        assert_eq!(of_tag("2024-01-02T03:04:05Z"), Some(second));
        assert_eq!(of_tag("    :  :     :  :  "), None);
        assert_eq!(of_tag("0000:00:00 00:00:00"), None);
    }
}
