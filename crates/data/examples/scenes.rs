//! Draws generated scenes with their boxes, to look at them:
//!
//! ```text
//! cargo run --release -p sconce-data --features embedded --example scenes -- CUT-OUTS[-fog] OUT.png [PHOTOS]
//! ```
//!
//! CUT-OUTS is `clipart`, `emoji`, or a folder with a folder of pictures with alpha for each class; PHOTOS a folder with folders
//! of backgrounds. `cargo xtask data fetch photo-cut-outs campus-photos` gets such folders.

use std::{error::Error, path::Path};

use sconce_core::files::write_atomic;
use sconce_data::{
    ContactSheet, CutOutStyle, CutOuts, DrawnBox, Image, SceneConfig, Scenes, Split, Weather, cut_outs, draw_boxes,
    read_cut_outs, read_image_folder,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (domain, out, photos) = match arguments.as_slice() {
        [domain, out] => (domain.as_str(), out, None),
        [domain, out, photos] => (domain.as_str(), out, Some(photos)),
        _ => return Err("usage: scenes CUT-OUTS[-fog] OUT.png [PHOTOS]".into()),
    };
    let (cut_outs, is_foggy) = domain.strip_suffix("-fog").map_or((domain, false), |clear| (clear, true));
    let weather = if is_foggy { Weather::Fog { strength: [0.7, 0.95] } } else { Weather::Clear };
    let config = SceneConfig { weather, ..SceneConfig::default() };
    let cut_outs = find(cut_outs)?;
    let scenes = match photos {
        Some(photos) => Scenes::with_photos(config, cut_outs, read_image_folder(Path::new(photos))?, 0)?,
        None => Scenes::new(config, cut_outs, 0)?,
    };
    let pictures = (0..24).map(|index| Ok((picture(&scenes, index)?, [255; 3])));
    let pictures = pictures.collect::<sconce_data::Result<Vec<_>>>()?;
    let sheet = ContactSheet { columns: 6, side: 192, frame: 2 }.draw(pictures)?;
    write_atomic(Path::new(out), &sheet.encode_png()?)?;
    Ok(())
}

fn find(name: &str) -> sconce_data::Result<CutOuts> {
    match CutOutStyle::ALL.into_iter().find(|style| style.name() == name) {
        Some(style) => cut_outs(style, Split::Train),
        None => read_cut_outs(Path::new(name)),
    }
}

fn picture(scenes: &Scenes, index: u64) -> sconce_data::Result<Image> {
    let scene = scenes.scene(index)?;
    let boxes = scene.objects.iter().map(|object| DrawnBox {
        bbox: object.bbox,
        label: object.label,
        text: scenes.cut_outs().classes()[object.label as usize].clone(),
    });
    Ok(draw_boxes(scene.image, &boxes.collect::<Vec<_>>()))
}
