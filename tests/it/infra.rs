//! What runs on AWS keeps its rules, read from the template.

mod bites;
mod queues;
mod rights;
mod template;
mod watch;
