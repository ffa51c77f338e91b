mod exact;
mod oracle;
mod real;
mod region;
mod seams;
mod shapes;
mod specs;
