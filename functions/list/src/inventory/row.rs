//! One row of an inventory.

use time::OffsetDateTime;

/// Whether a reader goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The next row, please.
    More,
    /// No more rows.
    Enough,
}

/// One version of one object, as an inventory has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// The key, decoded.
    pub key: &'a str,
    /// Bytes; a delete marker has none.
    pub size: Option<u64>,
    /// When it was last written, milliseconds since 1970.
    pub modified_ms: Option<i64>,
    /// Its entity tag, without quotes.
    pub etag: Option<&'a str>,
    /// Whether it is an older version.
    pub is_old: bool,
    /// Whether it says that the object was deleted.
    pub is_delete_marker: bool,
}

impl Row<'_> {
    /// Says whether this is what the object is now, and no folder's key.
    pub fn is_current(&self) -> bool {
        !self.is_old && !self.is_delete_marker && !self.key.ends_with('/')
    }

    /// Returns the object's address.
    pub fn address(&self) -> String {
        let mut address = String::with_capacity(self.bucket.len() + self.key.len() + 6);
        address.push_str("s3://");
        address.push_str(self.bucket);
        address.push('/');
        address.push_str(self.key);
        address
    }

    /// Returns when it was last written.
    pub fn modified(&self) -> Option<OffsetDateTime> {
        let nanos = i128::from(self.modified_ms?) * 1_000_000;
        OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()
    }
}

/// Reads a moment, in milliseconds since 1970. Inventories spell them all alike, `2024-06-01T01:02:03.000Z`, which is read
/// digit by digit: a general reader would take as long as all the rest of the row.
pub(super) fn date_ms(text: &[u8]) -> Option<i64> {
    usual_date(text).or_else(|| {
        let moment = swath_core::stac::parse_datetime(std::str::from_utf8(text).ok()?)?;
        i64::try_from(moment.unix_timestamp_nanos() / 1_000_000).ok()
    })
}

fn usual_date(text: &[u8]) -> Option<i64> {
    let [
        y1,
        y2,
        y3,
        y4,
        b'-',
        m1,
        m2,
        b'-',
        d1,
        d2,
        b'T',
        h1,
        h2,
        b':',
        n1,
        n2,
        b':',
        s1,
        s2,
        b'.',
        f1,
        f2,
        f3,
        b'Z',
    ] = *<&[u8; 24]>::try_from(text).ok()?
    else {
        return None;
    };
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0_i64, |sum, digit| {
            digit
                .is_ascii_digit()
                .then(|| sum * 10 + i64::from(digit - b'0'))
        })
    };
    let (year, month, day) = (
        number(&[y1, y2, y3, y4])?,
        number(&[m1, m2])?,
        number(&[d1, d2])?,
    );
    let (hour, minute, second) = (number(&[h1, h2])?, number(&[n1, n2])?, number(&[s1, s2])?);
    if !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 59
    {
        return None;
    }
    // Days since 1970 of the proleptic Gregorian calendar, years counted from March.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days =
        year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 719_469;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + number(&[f1, f2, f3])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn the_usual_spelling_is_read_as_any_other(ms in 0_i64..4_102_444_800_000) {
            let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).unwrap();
            let format = time::macros::format_description!(
                "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
            );
            let text = moment.format(format).unwrap();
            proptest::prop_assert_eq!(usual_date(text.as_bytes()), Some(ms), "{}", text);
        }
    }

    #[test]
    fn a_moment_in_another_spelling_is_read_too() {
        assert_eq!(
            date_ms(b"2024-06-01T01:02:03Z"),
            date_ms(b"2024-06-01T03:02:03.000+02:00")
        );
        assert_eq!(date_ms(b"2024-13-01T01:02:03.000Z"), None);
        assert_eq!(date_ms(b"1234567"), None);
    }
}
