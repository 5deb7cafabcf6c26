//! Draws generated scenes with their boxes, to look at them:
//!
//! ```text
//! cargo run --release -p sconce-data --features embedded --example scenes -- STYLE[-fog] OUT.png
//! ```
//!
//! STYLE is `clipart` or `emoji`.

use std::{error::Error, path::Path};

use sconce_core::files::write_atomic;
use sconce_data::{ContactSheet, CutOutStyle, DrawnBox, SceneConfig, Scenes, Split, Weather, cut_outs, draw_boxes};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [domain, out] = arguments.as_slice() else {
        return Err("usage: scenes STYLE[-fog] OUT.png".into());
    };
    let (style, is_foggy) = domain.strip_suffix("-fog").map_or((domain.as_str(), false), |style| (style, true));
    let Some(style) = CutOutStyle::ALL.into_iter().find(|known| known.name() == style) else {
        return Err(format!("the style is `{style}`, expected clipart or emoji").into());
    };
    let weather = if is_foggy { Weather::Fog { strength: [0.7, 0.95] } } else { Weather::Clear };
    let scenes = Scenes::new(SceneConfig { weather, ..SceneConfig::default() }, cut_outs(style, Split::Train)?, 0)?;
    let picture = |index: u64| -> sconce_data::Result<_> {
        let scene = scenes.scene(index)?;
        let name = |label: u32| scenes.cut_outs().classes()[label as usize].clone();
        let boxes: Vec<DrawnBox> = scene
            .objects
            .iter()
            .map(|object| DrawnBox { bbox: object.bbox, label: object.label, text: name(object.label) })
            .collect();
        Ok((draw_boxes(scene.image, &boxes), [255; 3]))
    };
    let pictures = (0..24).map(picture).collect::<sconce_data::Result<Vec<_>>>()?;
    let sheet = ContactSheet { columns: 6, side: 192, frame: 2 }.draw(pictures)?;
    write_atomic(Path::new(out), &sheet.encode_png()?)?;
    Ok(())
}
