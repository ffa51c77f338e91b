//! The H3 grid: all cells in which some point of a geometry lies.
//!
//! The outline is followed edge by edge: the cells an edge meets are connected, so a flood from the cell it begins in, kept to
//! cells that the edge meets, finds them all. What lies inside is spread from there: a cell without outline is
//! inside as a whole or outside as a whole, and so is its neighbour. Nothing depends on where the seam or a pole lies. The
//! usual case, all edges deep inside one cell, asks that one cell about each corner and nothing else.

use geo::Geometry;
use h3o::CellIndex;

use super::cells::{Cells, Slot};
use super::outline::{Kind, Outline, Part};
use super::sphere::{Edge, Place};
use super::{CellKey, Grid, GridError, GridOptions, GridSpec, Resolution};

/// The most cells one geometry may lie in: all cells of resolution 4, and to spare.
const MOST_CELLS: usize = 1 << 19;

/// A geometry lies in more cells than are allowed.
#[derive(Debug)]
struct TooMany;

/// Covers geometries with H3 cells of one resolution; keeps what it learns of cells from one geometry to the next.
#[derive(Clone, Debug)]
pub struct H3Grid {
    spec: GridSpec,
    cap: Option<usize>,
    outline: Outline,
    tracer: Tracer,
}

impl H3Grid {
    /// Makes a grid of a resolution; beyond `options.cap` cells a geometry gets the key `__global__`.
    ///
    /// # Errors
    /// When the options do not suit an EarthCatalog.
    pub fn new(resolution: Resolution, options: GridOptions) -> Result<Self, GridError> {
        let spec = GridSpec::H3 { resolution };
        options.check(&spec)?;
        let cap = options.cap.map(std::num::NonZeroUsize::get);
        Ok(Self {
            spec,
            cap,
            outline: Outline::default(),
            tracer: Tracer::new(
                Cells::new(resolution.into()),
                cap.unwrap_or(MOST_CELLS).min(MOST_CELLS),
            ),
        })
    }

    /// Leaves the cells' slots, in no order, in the tracer.
    fn trace(&mut self, geometry: Option<&Geometry<f64>>) -> Result<(), TooMany> {
        self.outline.read(geometry);
        self.tracer.begin();
        for group in self.outline.groups() {
            self.tracer.group(&self.outline, group)?;
        }
        Ok(())
    }
}

impl Grid for H3Grid {
    fn spec(&self) -> &GridSpec {
        &self.spec
    }

    fn cover(
        &mut self,
        geometry: Option<&Geometry<f64>>,
        out: &mut Vec<CellKey>,
    ) -> Result<(), GridError> {
        out.clear();
        match self.trace(geometry) {
            Ok(()) => self.tracer.keys(out),
            Err(TooMany) if self.cap.is_some() => out.push(CellKey::global()),
            Err(TooMany) => {
                return Err(GridError::TooManyCells {
                    grid: self.spec.to_string(),
                    limit: self.tracer.most,
                });
            }
        }
        if out.is_empty() {
            out.push(CellKey::none());
        }
        Ok(())
    }
}

#[derive(Clone, Debug)]
struct Tracer {
    cells: Cells,
    /// The most cells to find.
    most: usize,
    /// The cells of the geometry, each once.
    found: Vec<(CellIndex, Slot)>,
    /// The cells that the outline of the present part goes through, each once.
    outline: Vec<Slot>,
    queue: Vec<Slot>,
    /// The last mark given away.
    mark: u64,
    geometry: u64,
    part: u64,
    /// The cell that the last geometry began in.
    recent: Slot,
}

impl Tracer {
    fn new(cells: Cells, most: usize) -> Self {
        Self {
            cells,
            most,
            found: Vec::new(),
            outline: Vec::new(),
            queue: Vec::new(),
            mark: 0,
            geometry: 0,
            part: 0,
            recent: 0,
        }
    }

    fn next_mark(&mut self) -> u64 {
        self.mark += 1;
        self.mark
    }

    fn begin(&mut self) {
        self.cells.trim();
        self.found.clear();
        self.geometry = self.next_mark();
    }

    fn keys(&mut self, out: &mut Vec<CellKey>) {
        // Keys are hex digits of one length: the order of numbers is the order of texts.
        self.found.sort_unstable();
        out.extend(
            self.found
                .iter()
                .filter_map(|(_, slot)| self.cells.key(*slot)),
        );
    }

    fn group(&mut self, outline: &Outline, group: &[Part]) -> Result<(), TooMany> {
        self.outline.clear();
        self.part = self.next_mark();
        for part in group {
            match part.kind {
                Kind::Points => self.points(outline.positions(part))?,
                Kind::Line | Kind::Outer | Kind::Hole => self.line(outline.positions(part))?,
            }
        }
        // An outline within one cell has its inside there as well: the cell is convex, or a star round a centre.
        if self.outline.len() > 1 && group.iter().any(|part| part.kind == Kind::Outer) {
            self.fill(outline, group)?;
        }
        Ok(())
    }

    fn points(&mut self, positions: &[[f64; 2]]) -> Result<(), TooMany> {
        for position in positions {
            if let Some(slot) = self.cells.at(*position) {
                self.find(slot)?;
            }
        }
        Ok(())
    }

    fn line(&mut self, positions: &[[f64; 2]]) -> Result<(), TooMany> {
        let Some((first, rest)) = positions.split_first() else {
            return Ok(());
        };
        let mut from = Place::new(*first);
        let recent = self.recent;
        let known = self.cells.surely_contains(recent, &from).then_some(recent);
        let Some(mut slot) = known.or_else(|| self.cells.at(*first)) else {
            return Ok(());
        };
        self.recent = slot;
        self.touch(slot)?;
        for position in rest {
            let to = Place::new(*position);
            slot = self.edge(slot, &Edge::new(from, to))?;
            from = to;
        }
        Ok(())
    }

    /// Follows an edge from the cell it begins in, and returns the cell it ends in.
    fn edge(&mut self, mut slot: Slot, edge: &Edge) -> Result<Slot, TooMany> {
        if self.cells.ask(slot, |shape| shape.holds(edge)) {
            return Ok(slot);
        }
        let parts = edge.parts(self.cells.edge_length());
        if parts <= 1.0 {
            return self.flood(slot, edge);
        }
        let (mut from, mut number) = (*edge.from(), 1.0);
        while number <= parts {
            let to = if number < parts {
                edge.place(number / parts)
            } else {
                *edge.to()
            };
            let part = Edge::new(from, to);
            if !self.cells.ask(slot, |shape| shape.holds(&part)) {
                slot = self.flood(slot, &part)?;
            }
            from = to;
            number += 1.0;
        }
        Ok(slot)
    }

    /// Finds all cells that a short edge meets, and returns the one it ends in.
    fn flood(&mut self, start: Slot, edge: &Edge) -> Result<Slot, TooMany> {
        let mark = self.next_mark();
        self.queue.clear();
        self.queue.push(start);
        self.look(start, mark);
        self.touch(start)?;
        let mut done = 0;
        while let Some(&slot) = self.queue.get(done) {
            done += 1;
            for number in 0..6 {
                let Some(near) = self.cells.near(slot, number) else {
                    break;
                };
                if self.look(near, mark) && self.cells.ask(near, |shape| shape.meets(edge)) {
                    self.touch(near)?;
                    self.queue.push(near);
                }
            }
        }
        let end = edge.to();
        for &slot in &self.queue {
            if self.cells.ask(slot, |shape| shape.contains(end)) {
                return Ok(slot);
            }
        }
        Ok(self.cells.at(end.position()).unwrap_or(start))
    }

    /// Spreads over the cells that lie wholly inside the polygon.
    fn fill(&mut self, outline: &Outline, group: &[Part]) -> Result<(), TooMany> {
        self.queue.clear();
        let mut next = 0;
        while let Some(&slot) = self.outline.get(next) {
            next += 1;
            for number in 0..6 {
                let Some(near) = self.cells.near(slot, number) else {
                    break;
                };
                if self.reach(near) && outline.contains(group, self.cells.centre(near)) {
                    self.find(near)?;
                    self.queue.push(near);
                }
            }
        }
        while let Some(slot) = self.queue.pop() {
            for number in 0..6 {
                let Some(near) = self.cells.near(slot, number) else {
                    break;
                };
                if self.reach(near) {
                    self.find(near)?;
                    self.queue.push(near);
                }
            }
        }
        Ok(())
    }

    /// Says whether this flood sees the cell for the first time.
    fn look(&mut self, slot: Slot, mark: u64) -> bool {
        self.cells
            .marks(slot)
            .is_some_and(|marks| std::mem::replace(&mut marks.looked, mark) != mark)
    }

    /// Says whether this fill sees the cell for the first time, and no outline goes through it.
    fn reach(&mut self, slot: Slot) -> bool {
        let part = self.part;
        self.cells.marks(slot).is_some_and(|marks| {
            marks.outline != part && std::mem::replace(&mut marks.inside, part) != part
        })
    }

    /// Takes a cell that the outline of the present part goes through.
    fn touch(&mut self, slot: Slot) -> Result<(), TooMany> {
        let part = self.part;
        let new = self
            .cells
            .marks(slot)
            .is_some_and(|marks| std::mem::replace(&mut marks.outline, part) != part);
        if new {
            self.outline.push(slot);
            self.find(slot)?;
        }
        Ok(())
    }

    /// Takes a cell of the geometry.
    fn find(&mut self, slot: Slot) -> Result<(), TooMany> {
        let geometry = self.geometry;
        let new = self
            .cells
            .marks(slot)
            .is_some_and(|marks| std::mem::replace(&mut marks.found, geometry) != geometry);
        if new {
            if self.found.len() >= self.most {
                return Err(TooMany);
            }
            let Some(cell) = self.cells.cell(slot) else {
                return Ok(());
            };
            self.found.push((cell, slot));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::bbox_geometry;

    #[test]
    fn a_geometry_of_countless_cells_is_refused() {
        let mut grid = H3Grid::new(Resolution::default(), GridOptions::default()).unwrap();
        grid.tracer.most = 100;
        let mut out = Vec::new();
        let error = grid
            .cover(Some(&bbox_geometry([-180.0, -90.0, 180.0, 90.0])), &mut out)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "the geometry lies in more than 100 cells of h3:1"
        );
        grid.cover(Some(&bbox_geometry([0.0, 0.0, 1.0, 1.0])), &mut out)
            .unwrap();
        assert!(!out.is_empty());
    }
}
