//! Shapes in the plane of an image: boxes, polygons and masks, and what is known of an object.

mod bbox;
mod object;
mod polygon;
mod rle;
mod rle_string;

pub use bbox::BBox;
pub use object::Object;
pub use polygon::Polygon;
pub use rle::Rle;
