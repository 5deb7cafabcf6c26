//! The classes of a dataset as those of a model, by their names.

use super::ImageDataset;
use crate::{DataError, Result};

impl ImageDataset {
    /// The same images with `classes`, such as those of a model: each label is the place of its class there. Some of `classes`
    /// may have no image.
    ///
    /// # Errors
    /// [`DataError::UnknownClass`] with the first class that is not among `classes`.
    pub fn with_classes(&self, classes: &[String]) -> Result<Self> {
        let place = |class: &String| {
            let found = classes.iter().position(|known| known == class);
            found.map(|place| place as u32).ok_or_else(|| DataError::UnknownClass {
                origin: self.origin().to_owned(),
                class: class.clone(),
                known: classes.to_vec(),
            })
        };
        let places = self.classes.iter().map(place).collect::<Result<Vec<u32>>>()?;
        let labels = self.labels().iter().map(|&label| places[label as usize]).collect();
        Self { classes: classes.to_vec().into(), ..self.clone() }.with_labels(labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn labels_go_by_name() {
        let images = (0..3).map(|v| Image::new(1, 1, 1, vec![v]).unwrap()).collect();
        let dataset = ImageDataset::from_images("pets", names(&["cat", "dog"]), images, vec![1, 0, 1]).unwrap();
        let known = dataset.with_classes(&names(&["bird", "dog", "cat"])).unwrap();
        assert_eq!(known.labels(), [1, 2, 1]);
        assert_eq!(known.classes(), ["bird", "dog", "cat"]);
        let error = dataset.with_classes(&names(&["cat", "wolf"])).unwrap_err();
        assert!(matches!(&error, DataError::UnknownClass { class, .. } if class == "dog"), "{error}");
        assert_eq!(error.to_string(), "pets: class `dog` is unknown, expected cat, wolf");
    }
}
