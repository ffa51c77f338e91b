//! The house's own rules, read from the checkout.

mod codes;
mod environment;
mod functions;
mod layers;
mod rooms;
pub(crate) mod tree;
