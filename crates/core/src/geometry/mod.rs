//! Shapes in the plane of an image: boxes, and what is known of an object.

mod bbox;
mod object;

pub use bbox::BBox;
pub use object::Object;
