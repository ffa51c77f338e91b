//! The `geo` footer of GeoParquet 1.1.0: <https://geoparquet.org/releases/v1.1.0/>.

use std::collections::BTreeSet;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::Float64Type;
use arrow_array::{Array as _, BinaryArray, Float64Array, StructArray};
use serde_json::json;
use swath_core::TableName;

use crate::TableError;
use crate::columns::{self, Columns};
use crate::geometry::wkb;

/// What the footer says about the geometries of a file.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    types: BTreeSet<&'static str>,
    bbox: Option<[f64; 4]>,
}

impl Summary {
    /// Takes in the geometries of one batch of `stac_items`.
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<(), TableError> {
        let named = Columns::new(TableName::StacItems, batch);
        self.add_types(named.binary("geometry")?);
        self.add_boxes(named.typed("geometry_bbox", |array| array.as_struct_opt())?);
        Ok(())
    }

    /// Takes in the types of geometries in WKB.
    pub(crate) fn add_types(&mut self, geometries: &BinaryArray) {
        for row in 0..geometries.len() {
            if let Some(name) = columns::bytes(geometries, row).and_then(wkb::type_name) {
                self.types.insert(name);
            }
        }
    }

    /// Takes in the boxes round geometries, members `xmin`, `ymin`, `xmax` and `ymax`.
    pub(crate) fn add_boxes(&mut self, bbox: &StructArray) {
        let side = |name| {
            bbox.column_by_name(name)
                .and_then(|array| array.as_primitive_opt::<Float64Type>())
        };
        let (Some(xmin), Some(ymin), Some(xmax), Some(ymax)) =
            (side("xmin"), side("ymin"), side("xmax"), side("ymax"))
        else {
            return;
        };
        let least = |array: &Float64Array| array.iter().flatten().reduce(f64::min);
        let most = |array: &Float64Array| array.iter().flatten().reduce(f64::max);
        if let (Some(x0), Some(y0), Some(x1), Some(y1)) =
            (least(xmin), least(ymin), most(xmax), most(ymax))
        {
            self.widen([x0, y0, x1, y1]);
        }
    }

    /// Takes in one geometry: `GeoParquet`'s name of its type, and the box round it.
    pub(crate) fn note(&mut self, kind: &'static str, extent: Option<[f64; 4]>) {
        self.types.insert(kind);
        if let Some(extent) = extent {
            self.widen(extent);
        }
    }

    fn widen(&mut self, [x0, y0, x1, y1]: [f64; 4]) {
        self.bbox = Some(match self.bbox {
            Some([a, b, c, d]) => [a.min(x0), b.min(y0), c.max(x1), d.max(y1)],
            None => [x0, y0, x1, y1],
        });
    }

    /// Writes the value of the `geo` key; `covering` is the column that has each geometry's box.
    pub(crate) fn to_json(&self, covering: &str) -> String {
        let side = |name| json!([covering, name]);
        let mut column = json!({
            "encoding": "WKB",
            "geometry_types": self.types,
            "covering": {"bbox": {
                "xmin": side("xmin"), "ymin": side("ymin"), "xmax": side("xmax"), "ymax": side("ymax"),
            }},
        });
        if let (Some(bbox), Some(members)) = (self.bbox, column.as_object_mut()) {
            members.insert("bbox".to_owned(), json!(bbox));
        }
        json!({"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}})
            .to_string()
    }
}
