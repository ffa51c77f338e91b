//! H3 cells met so far: outline, neighbours, key; and marks of the cover that is being made.

use std::collections::HashMap;

use h3o::{CellIndex, LatLng, Resolution};

use super::CellKey;
use super::sphere::{Place, Shape};

/// Cells kept from one geometry to the next: a world of resolution 3 and to spare, some 30 MB.
const KEPT: usize = 1 << 16;

/// The place of a cell in the list of those met.
pub(super) type Slot = usize;

/// Which work last touched a cell: a number that is never used twice, 0 for none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Marks {
    /// The edge whose flood has looked at it.
    pub(super) looked: u64,
    /// The polygon or line that goes through it.
    pub(super) outline: u64,
    /// The polygon whose inside was spread to it, or stopped short of it.
    pub(super) inside: u64,
    /// The geometry whose cover has it.
    pub(super) found: u64,
}

#[derive(Clone, Debug)]
struct Node {
    cell: CellIndex,
    centre: [f64; 2],
    near: Option<Box<[Slot]>>,
    shape: Option<Box<Shape>>,
    key: Option<CellKey>,
    marks: Marks,
}

/// The cells of one resolution that were met so far.
#[derive(Clone, Debug)]
pub(super) struct Cells {
    resolution: Resolution,
    nodes: Vec<Node>,
    slots: HashMap<CellIndex, Slot>,
}

impl Cells {
    pub(super) fn new(resolution: Resolution) -> Self {
        Self {
            resolution,
            nodes: Vec::new(),
            slots: HashMap::new(),
        }
    }

    /// Returns the length of a cell's edge on average, radians.
    pub(super) fn edge_length(&self) -> f64 {
        self.resolution.edge_length_rads()
    }

    /// Forgets all cells when there are too many to keep.
    pub(super) fn trim(&mut self) {
        if self.nodes.len() > KEPT {
            *self = Self::new(self.resolution);
        }
    }

    /// Returns the cell a position lies in.
    pub(super) fn at(&mut self, [lon, lat]: [f64; 2]) -> Option<Slot> {
        let cell = LatLng::new(lat, lon).ok()?.to_cell(self.resolution);
        Some(self.slot(cell))
    }

    fn slot(&mut self, cell: CellIndex) -> Slot {
        let next = self.nodes.len();
        let slot = *self.slots.entry(cell).or_insert(next);
        if slot == next {
            let centre = LatLng::from(cell);
            self.nodes.push(Node {
                cell,
                centre: [centre.lng(), centre.lat()],
                near: None,
                shape: None,
                key: None,
                marks: Marks::default(),
            });
        }
        slot
    }

    pub(super) fn cell(&self, slot: Slot) -> Option<CellIndex> {
        self.nodes.get(slot).map(|node| node.cell)
    }

    pub(super) fn centre(&self, slot: Slot) -> [f64; 2] {
        self.nodes.get(slot).map_or([0.0; 2], |node| node.centre)
    }

    /// Returns the neighbour with the given number, below 6, or below 5 for a pentagon.
    pub(super) fn near(&mut self, slot: Slot, number: usize) -> Option<Slot> {
        if self.nodes.get(slot)?.near.is_none() {
            let cell = self.nodes.get(slot)?.cell;
            let disk: Vec<CellIndex> = cell.grid_disk(1);
            let near = disk
                .into_iter()
                .filter(|other| *other != cell)
                .map(|other| self.slot(other))
                .collect();
            self.nodes.get_mut(slot)?.near = Some(near);
        }
        self.nodes.get(slot)?.near.as_ref()?.get(number).copied()
    }

    /// Asks the outline of a cell.
    pub(super) fn ask(&mut self, slot: Slot, question: impl FnOnce(&Shape) -> bool) -> bool {
        self.nodes.get_mut(slot).is_some_and(|node| {
            let (cell, centre) = (node.cell, node.centre);
            question(node.shape.get_or_insert_with(|| {
                let corners: Vec<_> = cell.boundary().iter().map(|c| [c.lng(), c.lat()]).collect();
                Box::new(Shape::new(centre, &corners))
            }))
        })
    }

    /// Says whether a place surely lies in the cell.
    pub(super) fn surely_contains(&mut self, slot: Slot, place: &Place) -> bool {
        self.ask(slot, |shape| shape.surely_contains(place))
    }

    pub(super) fn key(&mut self, slot: Slot) -> Option<CellKey> {
        let node = self.nodes.get_mut(slot)?;
        let cell = node.cell;
        Some(
            node.key
                .get_or_insert_with(|| CellKey::from(cell.to_string()))
                .clone(),
        )
    }

    pub(super) fn marks(&mut self, slot: Slot) -> Option<&mut Marks> {
        self.nodes.get_mut(slot).map(|node| &mut node.marks)
    }
}
