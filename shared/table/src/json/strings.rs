//! Where the strings of JSON end.

/// Bytes of a string that are looked at eight at a time: most are no longer.
const SHORT: usize = 32;

/// Returns how many bytes there are before the first that ends or changes a string: a quote, a backslash, a control.
pub(super) fn plain(bytes: &[u8]) -> usize {
    let Some((short, long)) = bytes.split_at_checked(SHORT) else {
        return plain_words(bytes);
    };
    let found = plain_words(short);
    if found < SHORT {
        return found;
    }
    let end = memchr::memchr2(b'"', b'\\', long).unwrap_or(long.len());
    let text = long.get(..end).unwrap_or_default();
    // Without a branch, so that it takes many bytes at a time.
    let controls = text
        .iter()
        .fold(0, |found, byte| found | u8::from(*byte < 0x20));
    SHORT
        + if controls == 0 {
            end
        } else {
            plain_words(text)
        }
}

/// As [`plain`], of a text that has no controls.
pub(crate) fn unescaped(bytes: &[u8]) -> usize {
    let Some((short, long)) = bytes.split_at_checked(SHORT) else {
        return plain_words(bytes);
    };
    match plain_words(short) {
        SHORT => SHORT + memchr::memchr2(b'"', b'\\', long).unwrap_or(long.len()),
        found => found,
    }
}

fn plain_words(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = ONES << 7;
    // Eight at a time: a byte below the one looked for borrows from its high bit. Bytes above a hit may be marked
    // wrongly, the lowest mark never is.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word;
    let (words, rest) = bytes.as_chunks::<8>();
    for (place, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quotes = zeros(word ^ (ONES * u64::from(b'"')));
        let backslashes = zeros(word ^ (ONES * u64::from(b'\\')));
        let controls = word.wrapping_sub(ONES * 0x20) & !word;
        let found = (quotes | backslashes | controls) & HIGHS;
        if found != 0 {
            return place * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    let end = rest.iter().position(is_special).unwrap_or(rest.len());
    words.len() * 8 + end
}
