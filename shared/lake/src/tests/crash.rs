//! Processes that end at each step of writing, committing, compacting and clearing away; what was sent is sent again.

use super::mortal::{Life, Outside};
use super::*;
use crate::{Compaction, LEAST_GRACE};

/// A message: files to write, each of one cell, then to commit together; after some of them the table is compacted.
struct Message {
    files: Vec<(&'static str, Vec<ItemRow>)>,
    compacts: bool,
}

fn messages() -> Vec<Message> {
    let version = |id, day: u8| {
        let updated = format!("2024-02-{day:02}T00:00:00Z");
        item_of("2024-01-01T00:00:00Z", id, Some(&updated))
    };
    let message = |files, compacts| Message { files, compacts };
    vec![
        message(
            vec![
                (CELL, vec![version("a", 1), version("b", 1)]),
                (OTHER_CELL, vec![version("b", 1)]),
            ],
            false,
        ),
        message(vec![(CELL, vec![version("b", 1), version("c", 1)])], false),
        // Newer versions: one of them has left a cell.
        message(
            vec![
                (OTHER_CELL, vec![version("b", 2), version("d", 1)]),
                (CELL, vec![version("a", 3)]),
            ],
            false,
        ),
        message(vec![(CELL, vec![version("a", 2), version("e", 1)])], true),
    ]
}

/// Numbers that look random and are the same every time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

/// Takes in messages as one process, in this order; returns how many were done, and whether the process lived on.
async fn process(outside: &Outside, end: Option<u32>, order: &[usize]) -> (usize, bool) {
    let life = Life::new(end);
    let done = AtomicU32::new(0);
    let all = messages();
    let work = async {
        let world = outside.seen_by(&life);
        let lake = world.lake().await;
        for at in order {
            let mut told = Vec::new();
            for (cell, rows) in &all[*at].files {
                told.push(world.write(cell, rows).await);
            }
            let told: Vec<_> = told.iter().collect();
            try_commit(&lake, &told, 5).await.unwrap();
            if all[*at].compacts {
                let how = Compaction::default();
                lake.compact(ITEMS, &how, false, &Tries::new(5))
                    .await
                    .unwrap();
            }
            done.fetch_add(1, Ordering::SeqCst);
        }
    };
    let lived = life.live(work).await.is_some();
    (done.into_inner() as usize, lived)
}

/// Each row with its cell, and whether everything is sound.
async fn state(outside: &Outside) -> Vec<(String, String, String)> {
    let world = outside.seen_by(&Life::new(None));
    let lake = world.lake().await;
    check(&lake, ITEMS).await;
    assert_eq!(lake.examine().await.unwrap().faults, []);
    let mut rows = Vec::new();
    for location in live_files(&lake, ITEMS).await {
        let path = lake.place().path_of(&location).unwrap();
        let bytes = lake.place().store.get(&path).await.unwrap();
        for text in read_items(bytes.bytes().await.unwrap()).unwrap() {
            let item: serde_json::Value = serde_json::from_str(&text).unwrap();
            let updated = item["properties"]["updated"].to_string();
            let cell = if location.contains(OTHER_CELL) {
                OTHER_CELL
            } else {
                CELL
            };
            rows.push((item["id"].to_string(), updated, cell.to_owned()));
        }
    }
    rows.sort();
    rows
}

/// Sends again what was not done at least once, and anything up to three times, in any order, to processes that may end
/// too; the last one lives.
async fn redeliver(outside: &Outside, done: usize, chance: &mut Chance) {
    let mut order = Vec::new();
    for at in 0..messages().len() {
        let least = usize::from(at >= done);
        let times = least + chance.below(4 - least);
        for _ in 0..times {
            order.insert(chance.below(order.len() + 1), at);
        }
    }
    while !order.is_empty() {
        let end = chance.below(3) == 0;
        let end = end.then(|| u32::try_from(chance.below(30)).unwrap());
        let (done, lived) = process(outside, end, &order).await;
        order.drain(..done);
        assert!(!lived || order.is_empty());
    }
}

/// C4: abort before and after every change that writing, committing and compacting make; every third one in each test.
#[tokio::test]
async fn c4_a_crash_at_any_step_and_redelivery_end_as_if_all_had_been_calm() {
    c4_crashes(0).await;
}

#[tokio::test]
async fn c4_a_crash_one_step_later_ends_likewise() {
    c4_crashes(1).await;
}

#[tokio::test]
async fn c4_a_crash_two_steps_later_ends_likewise() {
    c4_crashes(2).await;
}

async fn c4_crashes(first: u32) {
    let calm = Outside::new();
    let all: Vec<usize> = (0..messages().len()).collect();
    assert!(process(&calm, None, &all).await.1);
    let calm = state(&calm).await;
    assert_eq!(calm.len(), 5, "{calm:?}");
    let mut steps = first;
    loop {
        let outside = Outside::new();
        let (done, lived) = process(&outside, Some(steps), &all).await;
        if lived {
            break;
        }
        let mut chance = Chance(u64::from(steps) + 0x5eed);
        redeliver(&outside, done, &mut chance).await;
        assert_eq!(state(&outside).await, calm, "ended after {steps} changes");
        steps += 3;
    }
    println!("C4: a crash before every third of {steps} changes: each ends as the calm run");
    assert!(steps > 30, "{steps} only");
}

/// K5: the process that clears away ends after each of its deletions.
#[tokio::test]
async fn k5_a_crash_while_clearing_away_leaves_the_rest_for_the_next_time() {
    let later = datetime!(2100-01-01 0:00 UTC);
    let written = Outside::new();
    process(&written, None, &[0, 1, 2, 3]).await;
    let expiring = written.seen_by(&Life::new(None)).lake().await;
    let keep = (1, Duration::ZERO);
    let before = state(&written).await;
    let young = datetime!(2024-06-01 12:00 UTC);
    // In the time of grace, whoever reads an old snapshot still can.
    let none = expiring.clear_orphans(ITEMS, Duration::ZERO, young, false);
    assert_eq!(none.await.unwrap().cleared, Vec::<String>::new());
    expiring.expire(ITEMS, keep, false, &Later).await.unwrap();
    let mut after = 0;
    loop {
        // Clearing away changes no pointer.
        let outside = written.fork();
        let world = outside.seen_by(&Life::new(None));
        let lake = world.lake().await;
        let all = lake.clear_orphans(ITEMS, LEAST_GRACE, later, true);
        let all: BTreeSet<String> = all.await.unwrap().cleared.into_iter().collect();

        let life = Life::new(Some(after));
        let mortal = outside.seen_by(&life);
        let pointer: Arc<dyn TablePointer> = Arc::clone(&mortal.pointer) as _;
        let cleaner = Lake::existing(mortal.place.clone(), pointer);
        let cleared = life.live(cleaner.clear_orphans(ITEMS, LEAST_GRACE, later, false));
        let cleared = cleared.await;
        let rest = lake.clear_orphans(ITEMS, LEAST_GRACE, later, false);
        let rest: BTreeSet<String> = rest.await.unwrap().cleared.into_iter().collect();
        assert!(rest.is_subset(&all));
        assert_eq!(rest.len(), all.len().saturating_sub(after as usize));
        assert_eq!(state(&outside).await, before);
        if cleared.is_some() {
            println!("K5: {after} deletions, a crash at each");
            assert!(after > 3);
            return;
        }
        after += 1;
    }
}

#[derive(Debug)]
struct Later;

#[async_trait]
impl Pace for Later {
    fn now(&self) -> OffsetDateTime {
        datetime!(2100-01-01 0:00 UTC)
    }

    async fn again(&self, attempts: u32) -> bool {
        attempts < 3
    }
}
