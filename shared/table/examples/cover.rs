//! What cells cost, for `tests/bench/cover.py`: `cover ITEMS.ndjson GRID ROUNDS` finds the cells of all items so many times
//! and prints how many items and cells there are. With no round, what it takes is reading.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

use swath_core::grid::{GridOptions, GridSpec};
use swath_table::ItemRow;
use swath_table::geometry::Geometry;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [path, grid, rounds] = arguments.as_slice() else {
        println!("usage: cover ITEMS.ndjson GRID ROUNDS");
        return;
    };
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().map(|line| ItemRow::parse(line).unwrap());
    let shapes: Vec<_> = rows
        .map(|row| row.geometry.as_ref().map(Geometry::to_geo))
        .collect();
    let spec: GridSpec = grid.parse().unwrap();
    let mut grid = spec.open(None, GridOptions::default()).unwrap();
    let (mut cells, mut count) = (Vec::new(), 0);
    for _ in 0..rounds.parse::<usize>().unwrap() {
        count = 0;
        for shape in &shapes {
            grid.cover(shape.as_ref(), &mut cells).unwrap();
            count += cells.len();
        }
    }
    println!("{{\"items\": {}, \"cells\": {count}}}", shapes.len());
}
