mod exact;
mod oracle;
mod real;
mod region;
mod shapes;
mod specs;
