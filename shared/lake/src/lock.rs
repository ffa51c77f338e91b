//! `EarthCatalog`'s lock: an object that writers put before they change a catalog's database as a whole.
//!
//! Whoever makes the object holds the lock until its time is over. Our own commits are safe without it; it keeps a Python
//! writer, which uploads the database it copied before, from taking a commit of ours back.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt as _, PutMode};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use crate::place::Place;

/// The lock's object below the lake's base.
pub const LOCK: &str = ".lock";

/// How long a lock of ours is good for: longer than any swap of a pointer takes.
const TTL: Duration = Duration::from_secs(90);

/// How long a lock is good for that does not say: `EarthCatalog`'s default.
const THEIR_TTL: f64 = 12.0;

/// Tells the time.
#[derive(Clone)]
pub struct Now(Arc<dyn Fn() -> OffsetDateTime + Send + Sync>);

impl Now {
    /// Takes a clock.
    pub fn new(now: impl Fn() -> OffsetDateTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }
}

impl fmt::Debug for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Now")
    }
}

/// The lock of one catalog.
#[derive(Clone, Debug)]
pub struct Lock {
    place: Place,
    now: Now,
}

/// What the lock's object says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Holder {
    /// Which kind of work holds it.
    #[serde(default)]
    pub owner: String,
    /// The holder's process.
    #[serde(default)]
    pub pid: u64,
    /// The holder's machine.
    #[serde(default)]
    pub hostname: String,
    /// When it was taken, RFC 3339 with an offset.
    #[serde(default)]
    pub acquired: String,
    /// For how many hours.
    pub ttl_hours: Option<f64>,
    /// Which taking it was; `EarthCatalog` notes none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// In which run of which system the process is; only ours note it, and only where it can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
}

impl Holder {
    /// Says whether the holder was a process of this system that is no more: it was killed, and gives nothing back.
    fn is_dead(&self) -> bool {
        self.system.is_some()
            && self.system == system()
            && matches!(std::fs::exists(format!("/proc/{}", self.pid)), Ok(false))
    }
}

/// Names this run of this system and the processes that can see one another; `None` where Linux does not say.
fn system() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let processes = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), processes.display()))
}

/// A lock as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// What its object says.
    pub holder: Holder,
    /// Whether its time is over.
    pub is_over: bool,
}

/// A lock that could not be taken, or not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Someone holds it.
    #[error(
        "the catalog is locked by {} on {} since {}; `swath lock break` takes it away",
        holder.owner, holder.hostname, holder.acquired
    )]
    Held {
        /// Who.
        holder: Box<Holder>,
    },
    /// The store failed.
    #[error("{location}: the store's call failed")]
    Store {
        /// The lock's object.
        location: String,
        /// Why.
        #[source]
        source: Error,
    },
}

/// A lock that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken(String);

impl Lock {
    /// Names the lock of the lake at a place.
    pub fn new(place: Place, now: Now) -> Self {
        Self { place, now }
    }

    /// Returns who holds it; `None` when nobody does.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn show(&self) -> Result<Option<Held>, LockError> {
        let Some(bytes) = self.read(LOCK).await? else {
            return Ok(None);
        };
        Ok(Some(self.judge(&bytes)))
    }

    /// Takes the lock for a short time, also from a holder whose time is over.
    ///
    /// # Errors
    /// [`LockError::Held`] when someone holds it; or when the store fails.
    pub async fn take(&self, owner: &str) -> Result<Taken, LockError> {
        let token = Uuid::now_v7().simple().to_string();
        let ours = self.holder(owner, &token);
        self.claim(LOCK, &ours).await?;
        Ok(Taken(token))
    }

    /// Makes an object that says who we are, also in place of one whose maker's time is over. Of all who would replace that
    /// one, whoever holds the marker that is named after its content may: it looks again, since another could have done all
    /// this before. The marker is an object like the first, and outlives nobody who was killed.
    async fn claim(&self, object: &str, ours: &Bytes) -> Result<(), LockError> {
        if self.put(object, ours, PutMode::Create).await? {
            return Ok(());
        }
        let Some(theirs) = self.read(object).await? else {
            // Released meanwhile: the next attempt finds it free, or taken by whoever was first.
            return Err(held(ours));
        };
        let now = self.judge(&theirs);
        if !now.is_over {
            let holder = Box::new(now.holder);
            return Err(LockError::Held { holder });
        }
        let marker = marker_of(&theirs);
        Box::pin(self.claim(&marker, ours)).await?;
        let done = match self.read(object).await {
            Ok(Some(now)) if now == theirs => self.put(object, ours, PutMode::Overwrite).await,
            Ok(now) => Err(held(&now.unwrap_or_default())),
            Err(error) => Err(error),
        };
        self.delete(&marker).await?;
        done.map(drop)
    }

    /// Gives the lock back, unless it has become another's.
    ///
    /// # Errors
    /// When the store fails; the lock is over after its time all the same.
    pub async fn release(&self, taken: &Taken) -> Result<(), LockError> {
        let now = self.show().await?.and_then(|held| held.holder.token);
        if now.as_deref() == Some(&taken.0) {
            self.delete(LOCK).await?;
        }
        Ok(())
    }

    /// Takes the lock away from whoever holds it; returns who did.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn break_it(&self) -> Result<Option<Held>, LockError> {
        let Some(bytes) = self.read(LOCK).await? else {
            return Ok(None);
        };
        self.delete(LOCK).await?;
        self.delete(&marker_of(&bytes)).await?;
        Ok(Some(self.judge(&bytes)))
    }

    fn holder(&self, owner: &str, token: &str) -> Bytes {
        let holder = Holder {
            owner: owner.to_owned(),
            pid: u64::from(std::process::id()),
            hostname: "swath".to_owned(),
            acquired: (self.now.0)().format(&Rfc3339).unwrap_or_default(),
            ttl_hours: Some(TTL.as_secs_f64() / 3600.0),
            token: Some(token.to_owned()),
            system: system(),
        };
        serde_json::to_vec(&holder).unwrap_or_default().into()
    }

    /// A lock that cannot be read is held until it is broken: it may be a newer version's.
    fn judge(&self, bytes: &[u8]) -> Held {
        let holder = read_holder(bytes);
        let acquired = OffsetDateTime::parse(&holder.acquired.replace(' ', "T"), &Rfc3339);
        let hours = holder.ttl_hours.unwrap_or(THEIR_TTL);
        let is_over = acquired
            .is_ok_and(|acquired| ((self.now.0)() - acquired).as_seconds_f64() >= hours * 3600.0);
        let is_over = is_over || holder.is_dead();
        Held { holder, is_over }
    }

    fn path(&self, below: &str) -> Result<Path, LockError> {
        let path = self.place.path(below);
        path.map_err(|error| LockError::Store {
            location: self.place.location(below),
            source: Error::Generic {
                store: "lake",
                source: Box::new(error),
            },
        })
    }

    fn failed(&self, below: &str) -> impl Fn(Error) -> LockError {
        let location = self.place.location(below);
        move |source| LockError::Store {
            location: location.clone(),
            source,
        }
    }

    async fn read(&self, below: &str) -> Result<Option<Bytes>, LockError> {
        let path = self.path(below)?;
        let read = async { self.place.store.get(&path).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(self.failed(below)(source)),
        }
    }

    /// Puts an object; false when a condition did not hold.
    async fn put(&self, below: &str, bytes: &Bytes, mode: PutMode) -> Result<bool, LockError> {
        let path = self.path(below)?;
        let payload = bytes.clone().into();
        match self.place.store.put_opts(&path, payload, mode.into()).await {
            Ok(_) => Ok(true),
            // The client asks again when an answer is lost, and then finds its own.
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {
                Ok(self.read(below).await?.as_ref() == Some(bytes))
            }
            Err(source) => Err(self.failed(below)(source)),
        }
    }

    async fn delete(&self, below: &str) -> Result<(), LockError> {
        match self.place.store.delete(&self.path(below)?).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(self.failed(below)(source)),
        }
    }
}

/// Names what whoever would replace an object of this content makes first.
fn marker_of(content: &[u8]) -> String {
    format!("{LOCK}.over-{:016x}", xxh3_64(content))
}

fn read_holder(bytes: &[u8]) -> Holder {
    serde_json::from_slice(bytes).unwrap_or_else(|_| Holder {
        owner: "someone whose note cannot be read".to_owned(),
        pid: 0,
        hostname: String::new(),
        acquired: String::new(),
        ttl_hours: None,
        token: None,
        system: None,
    })
}

fn held(bytes: &[u8]) -> LockError {
    LockError::Held {
        holder: Box::new(read_holder(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use object_store::local::LocalFileSystem;
    use tempfile::TempDir;

    use super::*;

    struct World {
        folder: TempDir,
        seconds: Arc<AtomicI64>,
        lock: Lock,
    }

    fn world() -> World {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let store = LocalFileSystem::new_with_prefix(&root).unwrap();
        let place = Place::new(Arc::new(store), Path::default(), root.to_str().unwrap());
        let seconds = Arc::new(AtomicI64::new(1_700_000_000));
        let clock = Arc::clone(&seconds);
        let now = Now::new(move || {
            OffsetDateTime::from_unix_timestamp(clock.load(Ordering::SeqCst)).unwrap()
        });
        World {
            folder,
            seconds,
            lock: Lock::new(place, now),
        }
    }

    #[tokio::test]
    async fn one_holds_it_until_it_is_given_back_or_over() {
        let world = world();
        let taken = world.lock.take("commit").await.unwrap();
        let error = world.lock.take("commit").await.unwrap_err();
        assert!(matches!(error, LockError::Held { .. }), "{error}");
        world.lock.release(&taken).await.unwrap();
        assert_eq!(world.lock.show().await.unwrap(), None);

        let old = world.lock.take("commit").await.unwrap();
        world.seconds.fetch_add(91, Ordering::SeqCst);
        let new = world.lock.take("commit").await.unwrap();
        // The old holder wakes up late, and takes nothing away.
        world.lock.release(&old).await.unwrap();
        assert!(!world.lock.show().await.unwrap().unwrap().is_over);
        world.lock.release(&new).await.unwrap();
        assert_eq!(world.lock.show().await.unwrap(), None);
    }

    #[tokio::test]
    async fn pythons_lock_is_held_for_its_hours_and_a_naive_time_until_it_is_broken() {
        let world = world();
        let put = |acquired: &str| {
            let text = format!(
                r#"{{"owner": "backfill", "pid": 123, "hostname": "h", "acquired": "{acquired}", "ttl_hours": 12}}"#
            );
            std::fs::write(world.folder.path().join(LOCK), text).unwrap();
        };
        put("2023-11-14T22:13:20.123456+00:00");
        let error = world.lock.take("commit").await.unwrap_err();
        assert!(error.to_string().contains("backfill"), "{error}");
        world.seconds.fetch_add(12 * 3600 + 1, Ordering::SeqCst);
        let taken = world.lock.take("commit").await.unwrap();
        world.lock.release(&taken).await.unwrap();

        put("2001-01-01T00:00:00");
        assert!(world.lock.take("commit").await.is_err());
        assert!(world.lock.break_it().await.unwrap().is_some());
        assert_eq!(world.lock.break_it().await.unwrap(), None);
        world.lock.take("commit").await.unwrap();
    }

    #[tokio::test]
    async fn a_holder_that_was_killed_on_this_system_holds_nothing() {
        let world = world();
        world.lock.take("commit").await.unwrap();
        let path = world.folder.path().join(LOCK);
        let text = std::fs::read_to_string(&path).unwrap();
        let mut holder: Holder = serde_json::from_str(&text).unwrap();
        if holder.system.is_none() {
            return;
        }
        // No process has this number: Linux has four million at most.
        holder.pid = 1 << 30;
        std::fs::write(&path, serde_json::to_vec(&holder).unwrap()).unwrap();
        let taken = world.lock.take("commit").await.unwrap();
        world.lock.release(&taken).await.unwrap();
        holder.system = Some("another".to_owned());
        std::fs::write(&path, serde_json::to_vec(&holder).unwrap()).unwrap();
        assert!(world.lock.take("commit").await.is_err());
    }

    #[tokio::test]
    async fn whoever_was_killed_while_it_took_over_is_in_nobodys_way() {
        let world = world();
        world.lock.take("commit").await.unwrap();
        // Two were killed, one after the other: each left a marker, the second that of the first's marker.
        let mut object = LOCK.to_owned();
        for token in ["first", "second"] {
            let content = std::fs::read(world.folder.path().join(&object)).unwrap();
            object = marker_of(&content);
            let marker = world.lock.holder("commit", token);
            std::fs::write(world.folder.path().join(&object), marker).unwrap();
        }
        assert!(world.lock.take("commit").await.is_err(), "they may live");
        world.seconds.fetch_add(91, Ordering::SeqCst);
        let taken = world.lock.take("commit").await.unwrap();
        world.lock.release(&taken).await.unwrap();
        let left = std::fs::read_dir(world.folder.path()).unwrap().count();
        assert_eq!(left, 0, "nothing lies about");
    }

    #[tokio::test]
    async fn of_twenty_who_find_it_over_one_takes_it() {
        let world = world();
        world.lock.take("commit").await.unwrap();
        world.seconds.fetch_add(91, Ordering::SeqCst);
        let takers = (0..20).map(|_| {
            let lock = world.lock.clone();
            tokio::spawn(async move { lock.take("commit").await.is_ok() })
        });
        let mut won = 0;
        for taker in takers.collect::<Vec<_>>() {
            won += u32::from(taker.await.unwrap());
        }
        assert_eq!(won, 1);
    }
}
