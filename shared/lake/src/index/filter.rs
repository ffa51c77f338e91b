//! Bloom filters in parts: to find out that an item is not in a run, some bytes of one part are enough.

use swath_table::keys::item_key;

use super::ItemId;

/// Most bytes of a part.
const PART: usize = 1024;

/// Bits for an item, so that one in a hundred that are not there seems to be.
const BITS: usize = 10;

/// Bits that are set for an item.
const PROBES: u128 = 7;

/// Makes the parts for the items of a run, of which each is named once or more often.
pub(super) fn build<'a>(items: impl ExactSizeIterator<Item = &'a ItemId>) -> Vec<Vec<u8>> {
    let bytes = (items.len() * BITS).div_ceil(8);
    let parts = bytes.div_ceil(PART);
    // At least some, so that parts with more items than others have room for them.
    let mut built = vec![vec![0; bytes.clamp(16, PART)]; parts];
    for item in items {
        let Some(part) = built.get_mut(part_of(item, parts)) else {
            continue;
        };
        for bit in bits(part.len(), item) {
            if let Some(byte) = part.get_mut(bit / 8) {
                *byte |= 1 << (bit % 8);
            }
        }
    }
    built
}

/// Returns the part that knows of an item.
pub(super) fn part_of(item: &ItemId, parts: usize) -> usize {
    let place = (key(item) >> 64) % (parts.max(1) as u128);
    usize::try_from(place).unwrap_or_default()
}

/// Returns whether a run could hold an item, given the part that knows of it.
pub(super) fn may_hold(part: &[u8], item: &ItemId) -> bool {
    bits(part.len(), item).all(|bit| {
        let byte = part.get(bit / 8);
        byte.is_some_and(|byte| byte & (1 << (bit % 8)) != 0)
    })
}

fn key(item: &ItemId) -> u128 {
    item_key(item.0.as_deref(), &item.1)
}

fn bits(bytes: usize, item: &ItemId) -> impl Iterator<Item = usize> + use<> {
    let (key, size) = (key(item), (bytes as u128 * 8).max(1));
    let (first, step) = (key & 0xffff_ffff, (key >> 32) & 0xffff_ffff | 1);
    let bits = (0..PROBES).map(move |probe| (first + probe * step) % size);
    bits.filter_map(|bit| usize::try_from(bit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_found_and_little_else() {
        let item = |number: usize| (Some("c".to_owned()), format!("item-{number}"));
        let there: Vec<ItemId> = (0..3000).map(item).collect();
        let parts = build(there.iter());
        assert_eq!(parts.len(), 4);
        let seems = |item: &ItemId| {
            let part = &parts[part_of(item, parts.len())];
            may_hold(part, item)
        };
        assert!(there.iter().all(seems));
        let wrong = (3000..13_000).map(item).filter(|item| seems(item)).count();
        assert!(wrong < 300, "{wrong} of 10,000");
        assert!(build([].iter()).is_empty());
    }
}
