//! Instants as items spell them, and the spelling that a column has.

use crate::instant;

/// How the instants of a column are spelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spelling {
    /// Digits of the fraction; `None` for no more than it takes.
    digits: Option<u8>,
    /// `+00:00` rather than `Z`.
    offset: bool,
}

/// An instant as it was spelled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spelled {
    /// Microseconds since 1970.
    pub(super) micros: i64,
    digits: u8,
    offset: bool,
    /// Whether there are no more digits than it takes.
    is_shortest: bool,
}

impl Spelling {
    /// Writes an instant.
    pub(super) fn write(self, micros: i64) -> Option<String> {
        let mut text = instant::spell(micros)?;
        text.pop();
        if let Some(digits) = self.digits.filter(|digits| *digits > 0) {
            let whole = "2024-01-01T00:00:00".len();
            if text.len() == whole {
                text.push('.');
            }
            while text.len() < whole + 1 + usize::from(digits) {
                text.push('0');
            }
        }
        text.push_str(if self.offset { "+00:00" } else { "Z" });
        Some(text)
    }

    /// Returns the name that the footer has for it.
    pub(super) fn name(self) -> String {
        let digits = self.digits.map(|digits| digits.to_string());
        let offset = if self.offset { "+00:00" } else { "Z" };
        digits.unwrap_or_default() + offset
    }

    /// Finds the spelling of a name.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        let (digits, offset) = match name.strip_suffix('Z') {
            Some(digits) => (digits, false),
            None => (name.strip_suffix("+00:00")?, true),
        };
        let digits = if digits.is_empty() {
            None
        } else {
            Some(digits.parse().ok().filter(|digits| *digits <= 9)?)
        };
        Some(Self { digits, offset })
    }
}

impl Spelled {
    /// Reads the spellings that a column can have: UTC, year to second, up to nine digits of fraction.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (body, offset) = match text.strip_suffix('Z') {
            Some(body) => (body, false),
            None => (text.strip_suffix("+00:00")?, true),
        };
        let (date, fraction) = body.as_bytes().split_at_checked(19)?;
        let number = |begin: usize, end: usize| {
            let mut sum = 0_i64;
            for byte in date.get(begin..end)? {
                sum = sum * 10 + i64::from(byte.is_ascii_digit().then(|| byte - b'0')?);
            }
            Some(sum)
        };
        let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
        if !marks.iter().all(|(at, mark)| date.get(*at) == Some(mark)) {
            return None;
        }
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        let is_time = hour < 24 && minute < 60 && second < 60;
        if !is_time || !(1..=12).contains(&month) || !(1..=days(year, month)).contains(&day) {
            return None;
        }
        let (micros, digits) = fraction_of(fraction)?;
        let seconds = (day_number(year, month, day) * 24 + hour) * 3600 + minute * 60 + second;
        Some(Self {
            micros: seconds * 1_000_000 + micros,
            digits,
            offset,
            is_shortest: fraction.last() != Some(&b'0'),
        })
    }

    /// Says whether a spelling writes the instant as it was.
    pub(super) fn is(self, spelling: Spelling) -> bool {
        let as_many = match spelling.digits {
            Some(digits) => digits == self.digits,
            None => self.is_shortest,
        };
        as_many && spelling.offset == self.offset
    }

    /// Returns the spellings that write it as it was.
    pub(super) fn spellings(self) -> impl Iterator<Item = Spelling> {
        let offset = self.offset;
        let shortest = self.is_shortest.then_some(None);
        let all = shortest.into_iter().chain([Some(self.digits)]);
        all.map(move |digits| Spelling { digits, offset })
    }
}

/// Reads `.` and digits; `None` for what is finer than a microsecond, or no fraction.
fn fraction_of(text: &[u8]) -> Option<(i64, u8)> {
    let Some((dot, digits)) = text.split_first() else {
        return Some((0, 0));
    };
    if *dot != b'.' || digits.is_empty() || digits.len() > 9 {
        return None;
    }
    let mut nanos = 0_i64;
    for place in 0..9 {
        let digit = digits.get(place).copied().unwrap_or(b'0');
        nanos = nanos * 10 + i64::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    let is_exact = nanos % 1000 == 0;
    is_exact.then_some((nanos / 1000, u8::try_from(digits.len()).ok()?))
}

fn days(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Returns the days since 1970 of a Gregorian date: years begin in March, so that a leap day is their last.
fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year
        - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_spelling_writes_what_it_read(seconds in -62_167_219_200_i64..253_402_300_800, micros in 0..1_000_000_i64, digits in 0..10_u8) {
            let at = seconds * 1_000_000 + micros;
            for spelling in [Spelling { digits: None, offset: digits > 4 }, Spelling { digits: Some(digits), offset: false }] {
                let text = spelling.write(at).unwrap();
                let read = Spelled::read(&text).unwrap();
                prop_assert_eq!(read.micros, at);
                prop_assert_eq!(instant::parse(&text), Some(at));
                prop_assert_eq!(Spelling::of_name(&spelling.name()), Some(spelling));
                let is_exact = read.spellings().all(|spelling| spelling.write(at).as_deref() == Some(&text));
                prop_assert!(is_exact);
            }
        }
    }

    #[test]
    fn what_a_column_cannot_spell_is_not_read() {
        for text in [
            "2024-02-30T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00+01:00",
            "2024-01-01t00:00:00Z",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00.0000001Z",
            "2024-01-01T00:00:60Z",
            "2024-1-01T00:00:00Z",
            "",
        ] {
            assert!(Spelled::read(text).is_none(), "{text}");
        }
    }
}
