//! The instances in a map of Cityscapes' fine annotations.

use std::{collections::BTreeMap, path::Path};

use sconce_core::geometry::BBox;

use crate::{Result, image::decode_gray16};

/// Instances of a class are numbered from here on, times the class's id.
const PER_CLASS: u16 = 1000;

/// What a `…_gtFine_instanceIds.png` says.
#[derive(Clone, Debug, PartialEq)]
pub struct CityscapesInstances {
    /// Height and width in pixels.
    pub size: (usize, usize),
    /// Every value but 0, in ascending order.
    pub instances: Vec<CityscapesInstance>,
}

/// The pixels of one value in a map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CityscapesInstance {
    /// The value: the class's id times 1,000 and a number, or the class's id itself for pixels whose instances are not told
    /// apart.
    pub id: u16,
    /// The smallest box around the pixels.
    pub bbox: BBox,
    /// How many they are.
    pub area: usize,
}

impl CityscapesInstance {
    /// The class's id: 26 for a car.
    pub fn class_id(&self) -> u16 {
        if self.is_group() { self.id } else { self.id / PER_CLASS }
    }

    /// Whether the pixels are those of several instances, or of a class that has none.
    pub fn is_group(&self) -> bool {
        self.id < PER_CLASS
    }
}

/// The instances in the bytes of a map, a grey PNG file of 16 bits; `origin` names them in errors.
///
/// # Errors
/// [`crate::DataError::Decode`] for anything else, as a map of class ids, which has 8 bits.
pub fn parse_cityscapes_instances(bytes: &[u8], origin: &Path) -> Result<CityscapesInstances> {
    let (height, width, values) = decode_gray16(bytes, origin)?;
    let mut found: BTreeMap<u16, CityscapesInstance> = BTreeMap::new();
    for (y, row) in values.chunks_exact(width).enumerate() {
        let mut x = 0;
        for run in row.chunk_by(|a, b| a == b) {
            let (first, last) = (x as f64, (x + run.len() - 1) as f64);
            x += run.len();
            let bbox = BBox::from_inclusive(first, y as f64, last, y as f64);
            let new = || CityscapesInstance { id: run[0], bbox, area: 0 };
            let instance = found.entry(run[0]).or_insert_with(new);
            instance.bbox = instance.bbox.hull(bbox);
            instance.area += run.len();
        }
    }
    found.remove(&0);
    Ok(CityscapesInstances { size: (height, width), instances: found.into_values().collect() })
}
