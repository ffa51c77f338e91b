//! Integration tests, one binary.

#[cfg(test)]
mod events;
#[cfg(test)]
mod house;
#[cfg(test)]
mod infra;
