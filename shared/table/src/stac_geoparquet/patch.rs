//! An item in which values are put back as they were spelled.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;
use serde_json::value::RawValue;

use super::REMOVED;

/// A JSON value whose leaves are texts of JSON.
#[derive(Debug)]
pub(super) enum Tree {
    Leaf(String),
    List(Vec<Tree>),
    Object(BTreeMap<String, Tree>),
}

impl From<Value> for Tree {
    fn from(value: Value) -> Self {
        match value {
            Value::Array(values) => Self::List(values.into_iter().map(Self::from).collect()),
            Value::Object(members) => {
                let members = members.into_iter();
                Self::Object(members.map(|(key, value)| (key, value.into())).collect())
            }
            leaf => Self::Leaf(leaf.to_string()),
        }
    }
}

impl Tree {
    /// Puts in what `swath:rest` keeps; `None` when it does not fit.
    pub(super) fn patch(&mut self, rest: &str) -> Option<()> {
        let rest: BTreeMap<String, &RawValue> = serde_json::from_str(rest).ok()?;
        if let Some(removed) = rest.get(REMOVED) {
            let removed: Vec<String> = serde_json::from_str(removed.get()).ok()?;
            removed
                .iter()
                .try_for_each(|pointer| self.remove(pointer))?;
        }
        let values = rest.iter().filter(|(pointer, _)| *pointer != REMOVED);
        for (pointer, value) in values {
            self.set(pointer, value.get())?;
        }
        Some(())
    }

    fn set(&mut self, pointer: &str, json: &str) -> Option<()> {
        let (parent, name) = self.parent(pointer)?;
        let leaf = Self::Leaf(json.to_owned());
        match parent {
            Self::Object(members) => drop(members.insert(name, leaf)),
            Self::List(values) => *values.get_mut(name.parse::<usize>().ok()?)? = leaf,
            Self::Leaf(_) => return None,
        }
        Some(())
    }

    fn remove(&mut self, pointer: &str) -> Option<()> {
        let (Self::Object(members), name) = self.parent(pointer)? else {
            return None;
        };
        members.remove(&name);
        Some(())
    }

    /// Returns the object or list that a pointer's last step leads out of, and that step.
    fn parent(&mut self, pointer: &str) -> Option<(&mut Self, String)> {
        let (before, last) = pointer.rsplit_once('/')?;
        let mut tree = self;
        for step in before.split('/').skip(1) {
            tree = match tree {
                Self::Object(members) => members.get_mut(&plain(step))?,
                Self::List(values) => values.get_mut(step.parse::<usize>().ok()?)?,
                Self::Leaf(_) => return None,
            };
        }
        Some((tree, plain(last)))
    }
}

fn plain(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leaf(json) => f.write_str(json),
            Self::List(values) => {
                f.write_str("[")?;
                for (index, value) in values.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { "," })?;
                    value.fmt(f)?;
                }
                f.write_str("]")
            }
            Self::Object(members) => {
                f.write_str("{")?;
                for (index, (key, value)) in members.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { "," })?;
                    write!(f, "{}:{value}", Value::from(key.as_str()))?;
                }
                f.write_str("}")
            }
        }
    }
}
