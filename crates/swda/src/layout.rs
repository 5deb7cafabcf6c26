//! Which files of a folder a dataset is, where its settings do not say it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sconce_data::{CocoConfig, DataError, VocConfig, VocFlatConfig, VocPart};

/// What images are read for: of several lists in a folder it says which one is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// To train on.
    Train,
    /// To measure on.
    Test,
}

/// Where annotations in Pascal VOC's XML stand.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum VocLayout {
    /// In `Annotations`, beside lists of images.
    Lists(VocConfig),
    /// Beside the images, or in a folder beside theirs, without a list.
    Flat(VocFlatConfig),
}

type Result<T> = std::result::Result<T, DataError>;

/// Folders of images, and of annotations without lists, as people call them.
const IMAGES: [&str; 5] = ["JPEGImages", "images", "Images", "imgs", "photos"];
const ANNOTATIONS: [&str; 5] = ["Annotations", "annotations", "labels", "xml", "xmls"];

/// Names of files in COCO's format whose images are looked for to find their folder.
const LOOKED_FOR: usize = 20;

impl Role {
    /// The lists that are meant, the first one that is there.
    fn lists(self) -> [&'static str; 4] {
        match self {
            Self::Train => ["trainval", "train", "default", "all"],
            Self::Test => ["test", "val", "default", "all"],
        }
    }
}

/// The layout of the annotations in Pascal VOC's XML below `root`: the lists in `ImageSets/Main`, of `root` itself or of the folders
/// in it; without any, annotations beside their images, or in a folder of their own.
pub(crate) fn find_voc(root: &Path, role: Role) -> Result<VocLayout> {
    let mut folders = vec![String::new()];
    folders.extend(names(root, |path| path.is_dir())?);
    let main = |folder: &str| root.join(folder).join("ImageSets/Main");
    folders.retain(|folder| main(folder).is_dir());
    if folders.is_empty() {
        return Ok(VocLayout::Flat(flat(root)));
    }
    let (mut parts, mut only, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for folder in &folders {
        let lists = names(&main(folder), |path| path.extension().is_some_and(|extension| extension == "txt"))?;
        let lists: Vec<String> = lists.into_iter().map(|name| name.trim_end_matches(".txt").to_owned()).collect();
        let known = role.lists().into_iter().find(|&wanted| lists.iter().any(|list| list == wanted));
        parts.extend(known.map(|list| VocPart::new(folder, list)));
        if let [list] = &lists[..] {
            only.push(VocPart::new(folder, list));
        }
        all.extend(lists);
    }
    // The only list of a folder is meant, whatever it is called, but not beside one with a list for the purpose.
    if parts.is_empty() {
        parts = only;
    }
    if parts.is_empty() {
        let found = if all.is_empty() { "no list".to_owned() } else { format!("the lists {}", all.join(", ")) };
        let expected = format!("{}, or `config.parts` that names others", role.lists()[..2].join(" or "));
        return Err(DataError::File { path: main(&folders[0]), found, expected });
    }
    Ok(VocLayout::Lists(VocConfig::new(parts, &[])))
}

fn flat(root: &Path) -> VocFlatConfig {
    let first = |names: [&'static str; 5]| names.into_iter().find(|name| root.join(name).is_dir());
    let annotations =
        first(ANNOTATIONS).filter(|name| names(&root.join(name), is_xml).is_ok_and(|files| !files.is_empty()));
    match annotations {
        Some(annotations) => VocFlatConfig {
            images: first(IMAGES).unwrap_or_default().to_owned(),
            annotations: annotations.to_owned(),
            ..VocFlatConfig::default()
        },
        None => VocFlatConfig::default(),
    }
}

fn is_xml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("xml"))
}

/// The file of annotations in COCO's format that `root` is or has, in itself or in `annotations`, and the folder of its images; with
/// the root that both are below.
pub(crate) fn find_coco(root: &Path, role: Role) -> Result<(PathBuf, CocoConfig)> {
    let is_json = |path: &Path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let (root, file) = if root.is_file() {
        let name = root.file_name().unwrap_or_default();
        (root.parent().unwrap_or(Path::new("")).to_owned(), PathBuf::from(name))
    } else {
        let mut files: Vec<PathBuf> = names(root, is_json)?.into_iter().map(PathBuf::from).collect();
        if root.join("annotations").is_dir() {
            let below = names(&root.join("annotations"), is_json)?;
            files.extend(below.into_iter().map(|name| Path::new("annotations").join(name)));
        }
        (root.to_owned(), the_one(root, files, role)?)
    };
    let images = folder_of_images(&root, &file)?;
    Ok((root, CocoConfig::new(file, images)))
}

/// Of several files the one whose name says what it is for.
fn the_one(root: &Path, files: Vec<PathBuf>, role: Role) -> Result<PathBuf> {
    let named = |words: &[&str]| -> Vec<&PathBuf> {
        let has = |file: &&PathBuf| {
            let name = file.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
            words.iter().any(|word| name.contains(word))
        };
        files.iter().filter(has).collect()
    };
    let words: &[&[&str]] = match role {
        Role::Train => &[&["train"], &["instances"]],
        Role::Test => &[&["test"], &["val"], &["instances"]],
    };
    if let [only] = &files[..] {
        return Ok(only.clone());
    }
    if let Some(found) = words.iter().map(|words| named(words)).find(|found| found.len() == 1) {
        return Ok(found[0].clone());
    }
    let list: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let found = if list.is_empty() { "no file of JSON".to_owned() } else { format!("the files {}", list.join(", ")) };
    let expected =
        "one file in COCO's format, in the folder or in `annotations`, or `config` with `annotations` and `images`";
    Err(DataError::File { path: root.to_owned(), found, expected: expected.to_owned() })
}

/// The folder below `root` that has most of the images that `file` names first: that of the file, the root, or one in it.
fn folder_of_images(root: &Path, file: &Path) -> Result<PathBuf> {
    let path = root.join(file);
    let bytes = fs::read(&path).map_err(DataError::io(&path))?;
    let wanted = file_names(&String::from_utf8_lossy(&bytes));
    let mut folders = vec![file.parent().unwrap_or(Path::new("")).to_owned(), PathBuf::new()];
    folders.extend(names(root, |path| path.is_dir())?.into_iter().map(PathBuf::from));
    let count = |folder: &PathBuf| wanted.iter().filter(|name| root.join(folder).join(name).is_file()).count();
    let (mut best, mut most) = (None, 0);
    for folder in folders {
        let n = count(&folder);
        if n > most {
            (best, most) = (Some(folder), n);
        }
    }
    best.ok_or_else(|| {
        let found = match wanted.first() {
            Some(name) => format!("no image {name} in the file's folder, in {} or in a folder there", root.display()),
            None => "no image".to_owned(),
        };
        let expected =
            "the images of the file; `config` with `annotations` and `images` says where they are".to_owned();
        DataError::File { path, found, expected }
    })
}

/// The first names of files that a text in COCO's format has. It is only looked through: that it is well-formed is its reader's.
fn file_names(text: &str) -> Vec<String> {
    let behind = text.split("\"file_name\"").skip(1).take(LOOKED_FOR);
    let value = |rest: &str| {
        let rest = rest.trim_start().strip_prefix(':')?.trim_start();
        serde_json::Deserializer::from_str(rest).into_iter::<String>().next()?.ok()
    };
    behind.filter_map(value).collect()
}

/// The names in `folder`, sorted, of what `is_wanted`. Hidden ones are left out.
fn names(folder: &Path, is_wanted: impl Fn(&Path) -> bool) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(DataError::io(folder))? {
        let path = entry.map_err(DataError::io(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with('.') && is_wanted(&path) {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(root: &Path, files: &[&str]) {
        for file in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"").unwrap();
        }
    }

    fn lists(layout: VocLayout) -> Vec<(String, String)> {
        let VocLayout::Lists(config) = layout else { panic!("{layout:?}") };
        config.parts.into_iter().map(|part| (part.folder, part.split)).collect()
    }

    #[test]
    fn lists_are_those_of_the_purpose() {
        let part = |folder: &str, list: &str| (folder.to_owned(), list.to_owned());
        let root = tempfile::tempdir().unwrap();
        let main = |list: &str| format!("VOC2007/ImageSets/Main/{list}.txt");
        touch(
            root.path(),
            &[&main("trainval"), &main("test"), &main("cat_trainval"), "VOC2012/ImageSets/Main/train.txt"],
        );
        let found = |role| lists(find_voc(root.path(), role).unwrap());
        assert_eq!(found(Role::Train), [part("VOC2007", "trainval"), part("VOC2012", "train")]);
        // What is trained on is not measured on.
        assert_eq!(found(Role::Test), [part("VOC2007", "test")]);
        let other = tempfile::tempdir().unwrap();
        touch(other.path(), &["ImageSets/Main/mine.txt"]);
        assert_eq!(lists(find_voc(other.path(), Role::Test).unwrap()), [part("", "mine")]);
        touch(other.path(), &["ImageSets/Main/yours.txt"]);
        let error = find_voc(other.path(), Role::Train).unwrap_err().to_string();
        assert!(error.contains("mine, yours") && error.contains("config.parts"), "{error}");
    }

    #[test]
    fn annotations_without_lists_lie_beside_their_images_or_in_a_folder_of_their_own() {
        let root = tempfile::tempdir().unwrap();
        touch(root.path(), &["a.jpg", "a.xml"]);
        let VocLayout::Flat(config) = find_voc(root.path(), Role::Train).unwrap() else { panic!() };
        assert_eq!((config.images.as_str(), config.annotations.as_str()), ("", ""));
        let root = tempfile::tempdir().unwrap();
        touch(root.path(), &["images/a.jpg", "labels/a.xml"]);
        let VocLayout::Flat(config) = find_voc(root.path(), Role::Train).unwrap() else { panic!() };
        assert_eq!((config.images.as_str(), config.annotations.as_str()), ("images", "labels"));
    }

    #[test]
    fn a_file_of_coco_and_its_images_are_found() {
        let json = r#"{"images": [{"id": 1, "file_name" : "a \"1\".jpg"}, {"file_name": "b.jpg"}]}"#;
        let root = tempfile::tempdir().unwrap();
        touch(root.path(), &["val2017/b.jpg", "train2017/a \"1\".jpg", "train2017/b.jpg", "annotations/captions.json"]);
        for name in ["train", "val"] {
            fs::write(root.path().join(format!("annotations/instances_{name}2017.json")), json).unwrap();
        }
        let (found, config) = find_coco(root.path(), Role::Train).unwrap();
        assert_eq!((found.as_path(), config.images.to_str()), (root.path(), Some("train2017")));
        assert!(config.annotations.ends_with("instances_train2017.json"));
        let (_, config) = find_coco(root.path(), Role::Test).unwrap();
        assert!(config.annotations.ends_with("instances_val2017.json"));
        // A file by itself, beside its images.
        fs::write(root.path().join("train2017/own.json"), json).unwrap();
        let (found, config) = find_coco(&root.path().join("train2017/own.json"), Role::Train).unwrap();
        assert_eq!((found, config.images), (root.path().join("train2017"), PathBuf::new()));
    }

    #[test]
    fn what_cannot_be_found_is_said() {
        let root = tempfile::tempdir().unwrap();
        let error = |root: &Path| find_coco(root, Role::Train).unwrap_err().to_string();
        assert!(error(root.path()).contains("no file of JSON"));
        fs::write(root.path().join("a.json"), r#"{"images": [{"file_name": "gone.jpg"}]}"#).unwrap();
        assert!(error(root.path()).contains("gone.jpg") && error(root.path()).contains("a.json"));
        touch(root.path(), &["b.json"]);
        assert!(error(root.path()).contains("a.json, b.json"), "{}", error(root.path()));
    }
}
