//! C8: the protocol of commits as a small model, of which every state is looked at: writers that load, decide, swap, lose
//! answers, are refused after their own success, crash and are sent the same again.
//!
//! The model is of the protocol, not of the code; the code runs through schedules in `machine` and through crashes in
//! `crash`. What the model adds is that no order is left out, and that it finds what goes wrong without each of the checks.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

/// A row, by number.
type Row = u8;

/// Whether the checks of the protocol are made.
#[derive(Clone, Copy, Debug)]
struct Protocol {
    /// After a failed or refused swap a writer looks whether a state of its own is in the table's history.
    looks_for_itself: bool,
    /// What the table has already is not added.
    knows_rows: bool,
    /// The pointer only changes if it is what the writer has seen.
    compares: bool,
}

const ALL: Protocol = Protocol {
    looks_for_itself: true,
    knows_rows: true,
    compares: true,
};

/// One snapshot: whose, which attempt of it, what it was made on, and the rows that it added.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Snapshot {
    writer: u8,
    attempt: u8,
    parent: usize,
    added: BTreeSet<Row>,
}

/// What a writer is about to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Doing {
    Loading,
    /// It has seen so many snapshots and has staged these rows.
    Swapping {
        seen: usize,
        staged: BTreeSet<Row>,
    },
    /// It says that it succeeded, and has added so many rows.
    Ok(u8),
    /// It says that nothing of it is in the table.
    Failed,
    /// It says that it does not know.
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Writer {
    rows: BTreeSet<Row>,
    doing: Doing,
    /// Its attempts so far in this life; a crash forgets what they were.
    attempts: u8,
    /// Attempts that it made in this life and remembers, with the number of rows of each.
    offered: BTreeMap<u8, u8>,
    /// Whether an answer was lost that it has not explained.
    in_doubt: bool,
    /// How often its message can still be delivered again.
    deliveries: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct World {
    table: Vec<Snapshot>,
    writers: Vec<Writer>,
    /// Faults that can still happen.
    faults: u8,
}

/// Attempts of one delivery.
const ATTEMPTS: u8 = 3;

fn writer(rows: &[Row], deliveries: u8) -> Writer {
    Writer {
        rows: rows.iter().copied().collect(),
        doing: Doing::Loading,
        attempts: 0,
        offered: BTreeMap::new(),
        in_doubt: false,
        deliveries,
    }
}

impl World {
    fn rows(&self) -> BTreeSet<Row> {
        self.table.iter().flat_map(|s| s.added.clone()).collect()
    }

    /// What can happen next.
    fn next(&self, protocol: Protocol) -> Vec<(String, Self)> {
        let mut all = Vec::new();
        for (at, writer) in self.writers.iter().enumerate() {
            match &writer.doing {
                Doing::Loading => all.push((format!("{at} loads"), self.load(at, protocol))),
                Doing::Swapping { seen, staged } => {
                    all.extend(self.swaps(at, *seen, staged, protocol));
                }
                Doing::Ok(_) | Doing::Failed | Doing::Unknown if writer.deliveries > 0 => {
                    all.push((format!("{at} is sent again"), self.again(at)));
                }
                Doing::Ok(_) | Doing::Failed | Doing::Unknown => {}
            }
            let works = matches!(writer.doing, Doing::Loading | Doing::Swapping { .. });
            if works && writer.attempts > 0 && writer.deliveries > 0 && self.faults > 0 {
                let mut next = self.again(at);
                next.faults -= 1;
                all.push((format!("{at} crashes"), next));
            }
        }
        all
    }

    fn with(&self, at: usize, change: impl FnOnce(&mut Writer)) -> Self {
        let mut next = self.clone();
        change(&mut next.writers[at]);
        next
    }

    /// A new delivery: whoever takes it remembers nothing, and names its attempts as no one else does.
    fn again(&self, at: usize) -> Self {
        self.with(at, |writer| {
            writer.doing = Doing::Loading;
            writer.offered.clear();
            writer.in_doubt = false;
            writer.deliveries -= 1;
        })
    }

    fn load(&self, at: usize, protocol: Protocol) -> Self {
        let landed = self.table.iter().find_map(|snapshot| {
            let offered = &self.writers[at].offered;
            let own = usize::from(snapshot.writer) == at;
            own.then(|| offered.get(&snapshot.attempt)).flatten()
        });
        if let (true, Some(added)) = (protocol.looks_for_itself, landed) {
            return self.with(at, |writer| writer.doing = Doing::Ok(*added));
        }
        let known = if protocol.knows_rows {
            self.rows()
        } else {
            BTreeSet::new()
        };
        self.with(at, |writer| {
            let tries = writer.offered.len();
            let staged: BTreeSet<Row> = writer.rows.difference(&known).copied().collect();
            writer.doing = if staged.is_empty() {
                Doing::Ok(0)
            } else if tries >= usize::from(ATTEMPTS) {
                // It looked a last time, above; a swap without an answer could still be on its way.
                let in_doubt = writer.in_doubt && !protocol.looks_for_itself;
                if in_doubt {
                    Doing::Unknown
                } else {
                    Doing::Failed
                }
            } else {
                let seen = self.table.len();
                Doing::Swapping { seen, staged }
            };
        })
    }

    /// A swap, however it ends.
    fn swaps(
        &self,
        at: usize,
        seen: usize,
        staged: &BTreeSet<Row>,
        protocol: Protocol,
    ) -> Vec<(String, Self)> {
        let offered = self.with(at, |writer| {
            let attempt = writer.attempts;
            writer.attempts += 1;
            writer
                .offered
                .insert(attempt, u8::try_from(staged.len()).unwrap());
            writer.doing = Doing::Loading;
        });
        let fits = seen == self.table.len() || !protocol.compares;
        if !fits {
            return vec![(format!("{at} is refused"), offered)];
        }
        let mut landed = offered.clone();
        landed.table.push(Snapshot {
            writer: u8::try_from(at).unwrap(),
            attempt: self.writers[at].attempts,
            parent: seen,
            added: staged.clone(),
        });
        let added = u8::try_from(staged.len()).unwrap();
        let mut all = vec![(
            format!("{at} swaps"),
            landed.with(at, |writer| writer.doing = Doing::Ok(added)),
        )];
        if self.faults > 0 {
            let mut lost = landed.with(at, |writer| writer.in_doubt = true);
            lost.faults -= 1;
            // Refused because of its own success, by a client that asks twice: all that it hears is a refusal.
            let mut refused = landed;
            refused.faults -= 1;
            let mut failed = offered;
            failed.faults -= 1;
            all.push((format!("{at} swaps, the answer is lost"), lost));
            all.push((format!("{at} swaps and is refused after it"), refused));
            all.push((format!("{at}: the swap fails before its effect"), failed));
        }
        all
    }

    /// What is wrong, if anything is.
    fn wrong(&self) -> Option<&'static str> {
        let mut seen = BTreeSet::new();
        for (place, snapshot) in self.table.iter().enumerate() {
            if snapshot.parent != place {
                return Some("I4: a snapshot was not made on the one before it: an update is lost");
            }
            if !snapshot.added.iter().all(|row| seen.insert(*row)) {
                return Some("I2: a row is there twice");
            }
        }
        for (at, writer) in self.writers.iter().enumerate() {
            let mine = |attempt: &u8| {
                let mut all = self.table.iter();
                all.find(|s| usize::from(s.writer) == at && s.attempt == *attempt)
            };
            let landed = writer.offered.keys().find_map(mine);
            match &writer.doing {
                Doing::Ok(_) if !writer.rows.is_subset(&seen) => {
                    return Some("I1: a writer says that it is done, and a row is lost");
                }
                Doing::Ok(added) if landed.map_or(0, |s| s.added.len()) != usize::from(*added) => {
                    return Some("I7: a writer does not say what it has added");
                }
                Doing::Failed if landed.is_some() => {
                    return Some("I7: a writer says that it failed, and it did not");
                }
                _ => {}
            }
        }
        None
    }
}

/// Looks at every state; returns how many there are, or the shortest way to one that is wrong.
fn explore(protocol: Protocol, writers: &[Writer], faults: u8) -> Result<usize, Vec<String>> {
    let first = World {
        table: Vec::new(),
        writers: writers.to_vec(),
        faults,
    };
    let mut from: HashMap<World, Option<(World, String)>> = HashMap::from([(first.clone(), None)]);
    let mut waiting = VecDeque::from([first]);
    while let Some(world) = waiting.pop_front() {
        if let Some(wrong) = world.wrong() {
            let mut way = vec![wrong.to_owned()];
            let mut at = &world;
            while let Some((before, step)) = &from[at] {
                way.push(step.clone());
                at = before;
            }
            way.reverse();
            return Err(way);
        }
        for (step, next) in world.next(protocol) {
            if !from.contains_key(&next) {
                from.insert(next.clone(), Some((world.clone(), step)));
                waiting.push_back(next);
            }
        }
    }
    Ok(from.len())
}

#[test]
fn c8_no_order_of_lost_replies_refusals_crashes_and_redeliveries_loses_or_doubles() {
    let two = [writer(&[0, 1], 2), writer(&[0, 2], 2)];
    let three = [writer(&[0, 1], 1), writer(&[0, 2], 0), writer(&[1], 0)];
    for (name, writers, faults) in [("two", &two[..], 3), ("three", &three[..], 2)] {
        match explore(ALL, writers, faults) {
            Ok(states) => {
                println!("C8: {name} writers, {faults} faults: {states} states, none wrong");
                assert!(states > 1000, "{states}");
            }
            Err(way) => panic!("{name} writers: {way:#?}"),
        }
    }
}

#[test]
fn c8_without_a_check_the_model_finds_what_goes_wrong() {
    let writers = [writer(&[0, 1], 1), writer(&[0, 2], 1)];
    let broken = [
        (
            "looking for itself",
            Protocol {
                looks_for_itself: false,
                ..ALL
            },
            "I7",
        ),
        (
            "knowing rows",
            Protocol {
                knows_rows: false,
                ..ALL
            },
            "I2",
        ),
        (
            "comparing",
            Protocol {
                compares: false,
                ..ALL
            },
            "I4",
        ),
    ];
    for (without, protocol, law) in broken {
        let way = explore(protocol, &writers, 2).unwrap_err();
        println!("C8: without {without}: {}", way.join("; "));
        assert!(way.last().unwrap().starts_with(law), "{way:?}");
    }
    // Neither check: what a client does that appends again after a lost answer.
    let neither = Protocol {
        looks_for_itself: false,
        knows_rows: false,
        compares: true,
    };
    let way = explore(neither, &writers[..1], 1).unwrap_err();
    assert!(way.last().unwrap().starts_with("I2"), "{way:?}");
}
