//! What a detector is trained on.

use sconce_core::{
    Error, Result,
    geometry::{BBox, Object},
};

/// The images of a batch before padding, and what is on them.
#[derive(Clone, Copy, Debug)]
pub struct Targets<'a> {
    /// Height and width of each image in pixels, without the padding to the batch's size.
    pub sizes: &'a [(usize, usize)],
    /// The objects of each image. Crowds are not trained on; what is difficult is.
    pub objects: &'a [Vec<Object>],
}

impl Targets<'_> {
    /// Refuses targets of another number of images than `n`, and objects that cannot be learned.
    pub(crate) fn check(&self, op: &'static str, n: usize) -> Result<()> {
        let found = (self.sizes.len(), self.objects.len());
        if found != (n, n) {
            return Err(Error::argument(op, "the number of sizes and of lists of objects", found, format!("{n} each")));
        }
        let objects = self.objects.iter().flatten().filter(|object| !object.is_crowd);
        match objects.map(|object| object.bbox).find(|bbox| !bbox.has_extent()) {
            Some(bbox) => Err(Error::argument(op, "an object's box", bbox, "finite, with x2 > x1 and y2 > y1")),
            None => Ok(()),
        }
    }
}

/// The objects that are trained on.
pub(crate) fn single(objects: &[Object]) -> impl Iterator<Item = &Object> {
    objects.iter().filter(|object| !object.is_crowd)
}

/// Their boxes.
pub(crate) fn boxes(objects: &[Object]) -> Vec<BBox> {
    single(objects).map(|object| object.bbox).collect()
}
