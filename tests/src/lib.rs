//! Checks of the whole: sample events, the template, and the rules of the house; see `tests/run`.
