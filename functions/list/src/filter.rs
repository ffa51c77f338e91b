//! What of a source is taken.

use globset::{Glob, GlobSet, GlobSetBuilder};
use swath_core::intake::Intake;
use time::OffsetDateTime;

/// A glob that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{glob:?} is no glob: {reason}")]
pub struct GlobError {
    glob: String,
    reason: String,
}

/// What of a source is taken, by key and time.
#[derive(Clone, Debug)]
pub struct Filter {
    include: Globs,
    exclude: Globs,
    since: Option<OffsetDateTime>,
    until: Option<OffsetDateTime>,
}

/// Globs; those that only say how a key ends are looked at first, for they are cheap.
#[derive(Clone, Debug, Default)]
struct Globs {
    ends: Vec<String>,
    others: Option<GlobSet>,
}

impl Globs {
    fn new(globs: &[impl AsRef<str>]) -> Result<Self, GlobError> {
        let (mut ends, mut others) = (Vec::new(), Vec::new());
        for glob in globs.iter().map(AsRef::as_ref) {
            match glob.strip_prefix('*') {
                Some(end) if !end.contains(['*', '?', '[', '{', '\\']) => ends.push(end.to_owned()),
                _ => others.push(glob),
            }
        }
        let mut set = GlobSetBuilder::new();
        for glob in &others {
            set.add(Glob::new(glob).map_err(|error| failed(glob, &error))?);
        }
        let others = match others.first() {
            Some(first) => Some(set.build().map_err(|error| failed(first, &error))?),
            None => None,
        };
        Ok(Self { ends, others })
    }

    fn fit(&self, key: &str) -> bool {
        self.ends.iter().any(|end| key.ends_with(end))
            || self.others.as_ref().is_some_and(|set| set.is_match(key))
    }

    fn are_none(&self) -> bool {
        self.ends.is_empty() && self.others.is_none()
    }
}

fn failed(glob: &str, error: &globset::Error) -> GlobError {
    GlobError {
        glob: glob.to_owned(),
        reason: error.kind().to_string(),
    }
}

impl Filter {
    /// Takes the settings of a run; `usual` are the globs for when it says nothing of keys.
    ///
    /// # Errors
    /// When a glob is none.
    pub fn new(intake: &Intake, usual: &[&str]) -> Result<Self, GlobError> {
        let include = if intake.include.is_empty() {
            Globs::new(usual)?
        } else {
            Globs::new(&intake.include)?
        };
        Ok(Self {
            include,
            exclude: Globs::new(&intake.exclude)?,
            since: intake.since,
            until: intake.until,
        })
    }

    /// Says whether a key is one that is asked for.
    pub fn fits_key(&self, key: &str) -> bool {
        (self.include.are_none() || self.include.fit(key)) && !self.exclude.fit(key)
    }

    /// Says whether keys are asked for at all.
    pub fn asks_for_key(&self) -> bool {
        !(self.include.are_none() && self.exclude.are_none())
    }

    /// Says whether times are asked for at all.
    pub fn asks_for_time(&self) -> bool {
        self.since.is_some() || self.until.is_some()
    }

    /// Says whether a moment is one that is asked for. What has none is taken: it may be new.
    pub fn fits_time(&self, moment: Option<OffsetDateTime>) -> bool {
        moment.is_none_or(|moment| {
            self.since.is_none_or(|since| moment >= since)
                && self.until.is_none_or(|until| moment < until)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    fn filter(include: &[&str], exclude: &[&str]) -> Filter {
        let owned = |globs: &[&str]| globs.iter().map(|glob| (*glob).to_owned()).collect();
        let intake = Intake {
            include: owned(include),
            exclude: owned(exclude),
            since: Some(datetime!(2024-01-01 0:00 UTC)),
            until: Some(datetime!(2024-02-01 0:00 UTC)),
            ..Intake::default()
        };
        Filter::new(&intake, &["*.stac.json"]).unwrap()
    }

    #[test]
    fn a_star_spans_slashes() {
        let filter = filter(&["a/*/c?.json", "*.x"], &["*skip*"]);
        for (key, fits) in [
            ("a/b/b/c1.json", true),
            ("a/b/c.json", false),
            ("q/w.x", true),
            ("q/skip/w.x", false),
            ("a.stac.json", false),
        ] {
            assert_eq!(filter.fits_key(key), fits, "{key}");
        }
    }

    #[test]
    fn nothing_said_means_the_usual_and_ends_of_time_are_half_open() {
        let filter = filter(&[], &[]);
        assert!(filter.fits_key("a/b.stac.json") && !filter.fits_key("a/b.json"));
        assert!(filter.fits_time(Some(datetime!(2024-01-01 0:00 UTC))));
        assert!(!filter.fits_time(Some(datetime!(2024-02-01 0:00 UTC))));
        assert!(filter.fits_time(None));
    }

    #[test]
    fn a_glob_that_is_none_is_named() {
        let intake = Intake {
            include: vec!["a[".to_owned()],
            ..Intake::default()
        };
        let error = Filter::new(&intake, &[]).unwrap_err().to_string();
        assert!(error.contains("a["), "{error}");
    }
}
