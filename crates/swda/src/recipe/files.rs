//! Detections as evaluations read them: the devkit's files of Pascal VOC, and COCO's results.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use sconce_core::files::write_atomic;
use sconce_data::{CocoId, coco_class_ids, parse_coco};
use sconce_detection::{
    Detection,
    evaluation::{
        coco,
        coco::CocoResult,
        voc::{result_line, results_file},
    },
};

use crate::{
    images::Images,
    layout::{Role, find_coco},
};

/// The folder of the devkit's files, and the file of COCO's results, below the output folder.
const VOC: &str = "voc";
const COCO: &str = "coco.json";

/// Collects what is found in the images of a command, and writes it.
pub(super) struct ResultFiles<'a> {
    folder: &'a Path,
    classes: &'a [String],
    category_ids: Vec<CocoId>,
    /// The files in COCO's format that are known: by which ids each calls the classes.
    known: Vec<Vec<CocoId>>,
    /// The ids of their images, each with the place of its file.
    image_ids: HashMap<PathBuf, (CocoId, usize)>,
    voc: Vec<String>,
    coco: Vec<CocoResult>,
}

impl<'a> ResultFiles<'a> {
    /// Files below `folder`, which are not there yet.
    ///
    /// # Errors
    /// If one of them is.
    pub(super) fn new(
        folder: &'a Path,
        classes: &'a [String],
        category_ids: Option<&[Option<CocoId>]>,
    ) -> anyhow::Result<Self> {
        let id = |label: usize| category_ids.and_then(|ids| ids.get(label).cloned()?);
        let ids = (0..classes.len()).map(|label| id(label).unwrap_or(CocoId::Number(label as i128 + 1)));
        let files = Self {
            folder,
            classes,
            category_ids: ids.collect(),
            known: Vec::new(),
            image_ids: HashMap::new(),
            voc: vec![String::new(); classes.len()],
            coco: Vec::new(),
        };
        let mut paths: HashMap<PathBuf, &String> = HashMap::new();
        for (path, class) in files.voc_files().into_iter().zip(classes) {
            anyhow::ensure!(!path.exists(), "{} exists: predict overwrites nothing", path.display());
            if let Some(other) = paths.insert(path.clone(), class) {
                anyhow::bail!("{} would be the file of the classes `{other}` and `{class}`", path.display());
            }
        }
        let path = folder.join(COCO);
        anyhow::ensure!(!path.exists(), "{} exists: predict overwrites nothing", path.display());
        Ok(files)
    }

    /// Images and classes of a file in COCO's format are called by their ids there, where the file is still to be had.
    pub(super) fn know(&mut self, images: &Images) {
        let Images::Coco { root, config } = images else { return };
        let found = match config {
            Some(config) => Ok((root.clone(), config.clone())),
            None => find_coco(root, Role::Test),
        };
        // No dataset is needed to predict.
        let Ok((root, config)) = found else { return };
        let path = root.join(&config.annotations);
        let Some(file) = fs::read(&path).ok().and_then(|bytes| parse_coco(&bytes, &path).ok()) else { return };
        let named = coco_class_ids(&file.categories, self.classes);
        // A class that the file does not have is called by its name: no number of the file's own is another class's.
        let ids = named.into_iter().zip(self.classes).map(|(id, class)| id.unwrap_or(CocoId::Text(class.clone())));
        self.known.push(ids.collect());
        for image in file.images {
            if let Ok(path) = root.join(&config.images).join(&image.file_name).canonicalize() {
                self.image_ids.insert(path, (image.id, self.known.len() - 1));
            }
        }
    }

    /// Adds all that was found in `file`, which evaluations call `id`, and COCO's `coco_id` if no file in its format has it.
    ///
    /// # Errors
    /// If the devkit's files cannot have such a name.
    pub(super) fn add(
        &mut self,
        file: &Path,
        (id, coco_id): (&str, &CocoId),
        found: &[Detection],
    ) -> anyhow::Result<()> {
        let known = file.canonicalize().ok().and_then(|path| self.image_ids.get(&path).cloned());
        let (image_id, category_ids) = match known {
            Some((image_id, file)) => (image_id, &self.known[file]),
            None => (coco_id.clone(), &self.category_ids),
        };
        for detection in found {
            let Some(lines) = self.voc.get_mut(detection.label as usize) else { continue };
            lines.push_str(&(result_line(id, detection)? + "\n"));
            let category_id = &category_ids[detection.label as usize];
            self.coco.push(CocoResult::new(of_evaluation(&image_id), of_evaluation(category_id), detection));
        }
        Ok(())
    }

    fn voc_files(&self) -> Vec<PathBuf> {
        self.classes.iter().map(|class| self.folder.join(VOC).join(results_file(class))).collect()
    }

    /// Writes the files: one of Pascal VOC's for each class, also where nothing of it was found.
    ///
    /// # Errors
    /// If one cannot be written.
    pub(super) fn write(self) -> anyhow::Result<()> {
        let folder = self.folder.join(VOC);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        for (path, lines) in self.voc_files().iter().zip(&self.voc) {
            write_atomic(path, lines.as_bytes())?;
        }
        Ok(write_atomic(&self.folder.join(COCO), &serde_json::to_vec(&self.coco)?)?)
    }
}

/// A dataset's id as the evaluation has it.
fn of_evaluation(id: &CocoId) -> coco::CocoId {
    match id {
        CocoId::Number(number) => coco::CocoId::Number(*number),
        CocoId::Text(text) => coco::CocoId::Text(text.clone()),
    }
}

/// The ids of images in COCO's results by their names: numbers where all that are the same number are one name, as
/// `000000000139`.
pub(super) fn coco_ids(names: &[String]) -> Vec<CocoId> {
    let number = |name: &String| -> Option<u64> {
        let is_number = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
        name.parse().ok().filter(|_| is_number)
    };
    let mut uses: BTreeMap<u64, usize> = BTreeMap::new();
    names.iter().filter_map(number).for_each(|number| *uses.entry(number).or_default() += 1);
    let id = |name: &String| match number(name) {
        Some(number) if uses[&number] == 1 => CocoId::Number(number.into()),
        _ => CocoId::Text(name.clone()),
    };
    names.iter().map(id).collect()
}

/// What evaluations call each of `files`: its stem, or, where another file has the same one, its path below the folder that was
/// named, without the ending. The files come with their paths below those folders.
pub(super) fn ids(files: &[(PathBuf, PathBuf)]) -> Vec<String> {
    let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut stems: BTreeMap<String, usize> = BTreeMap::new();
    for (file, _) in files {
        *stems.entry(stem(file)).or_default() += 1;
    }
    let id = |(file, below): &(PathBuf, PathBuf)| {
        let stem = stem(file);
        match below.parent().filter(|parent| stems[&stem] > 1 && !parent.as_os_str().is_empty()) {
            Some(parent) => format!("{}/{stem}", parent.display()),
            None => stem,
        }
    };
    files.iter().map(id).collect()
}

#[cfg(test)]
mod tests {
    use sconce_core::geometry::BBox;

    use super::*;

    #[test]
    fn images_are_called_by_stems_that_differ() {
        let file = |path: &str, below: &str| (PathBuf::from(path), PathBuf::from(below));
        let files = [
            file("photos/a/1.jpg", "a/1.jpg"),
            file("photos/b/1.jpg", "b/1.jpg"),
            file("photos/b/2.5.jpg", "b/2.5.jpg"),
            file("x/3.jpg", "3.jpg"),
        ];
        assert_eq!(ids(&files), ["a/1", "b/1", "2.5", "3"]);
    }

    #[test]
    fn numbers_are_numbers() {
        let text = |name: &str| CocoId::Text(name.to_owned());
        let names = ["000139", "12a", "", "+5", "a/1", "7", "007", "99999999999999999999"].map(str::to_owned);
        let [_, others @ ..] = &names;
        let expected: Vec<CocoId> = others.iter().map(|name| text(name)).collect();
        assert_eq!(coco_ids(&names), [vec![CocoId::Number(139)], expected].concat());
    }

    #[test]
    fn boxes_are_as_each_format_has_them() {
        let folder = tempfile::tempdir().unwrap();
        let classes = ["bird".to_owned(), "traffic/light".to_owned()];
        let ids = [Some(CocoId::Number(7)), None];
        let mut files = ResultFiles::new(folder.path(), &classes, Some(&ids)).unwrap();
        let found = |label| Detection { bbox: BBox::new(0.0, 2.0, 10.0, 20.5), label, score: 0.25 };
        files.add(Path::new("12.jpg"), ("12", &CocoId::Number(12)), &[found(0), found(1)]).unwrap();
        files.write().unwrap();
        let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(text("voc/comp4_det_test_bird.txt"), "12 0.25 1 3 10 20.5\n");
        assert_eq!(text("voc/comp4_det_test_traffic_light.txt"), "12 0.25 1 3 10 20.5\n");
        let expected = serde_json::json!([
            { "image_id": 12, "category_id": 7, "bbox": [0.0, 2.0, 10.0, 18.5], "score": 0.25 },
            { "image_id": 12, "category_id": 2, "bbox": [0.0, 2.0, 10.0, 18.5], "score": 0.25 },
        ]);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text("coco.json")).unwrap(), expected);
        // Nothing is overwritten.
        assert!(ResultFiles::new(folder.path(), &classes, None).is_err());
        // Nor do two classes share a file.
        let twins = ["a/b".to_owned(), "a_b".to_owned()];
        let error = ResultFiles::new(Path::new("nowhere"), &twins, None).err().unwrap().to_string();
        assert!(error.contains("a_b.txt would be the file of the classes `a/b` and `a_b`"), "{error}");
    }
}
