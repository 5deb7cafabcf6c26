//! JPEG files: their headers, and which decoder reads them.

use std::io::{BufRead, Cursor, Seek, SeekFrom};

use image::{DynamicImage, GrayImage, ImageFormat, ImageReader, RgbImage, metadata::Orientation};
use jpeg_decoder::{ColorTransform, PixelFormat};

/// The first byte of every marker.
const MARKER: u8 = 0xFF;

/// The markers that are read here (ITU-T T.81, table B.1).
const BASELINE: u8 = 0xC0;
const EXTENDED: u8 = 0xC1;
const PROGRESSIVE: u8 = 0xC2;
const START_OF_IMAGE: u8 = 0xD8;
const END_OF_IMAGE: u8 = 0xD9;
const START_OF_SCAN: u8 = 0xDA;
const NUMBER_OF_LINES: u8 = 0xDC;
const JFIF: u8 = 0xE0;
const EXIF: u8 = 0xE1;
const ADOBE: u8 = 0xEE;

/// What stands in front of the first scan. The size is read here alone, for decoders and for who wants only the size.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) height: usize,
    pub(super) width: usize,
    /// How the image has to be turned to be upright.
    pub(super) orientation: Orientation,
    is_progressive: bool,
    components: Vec<Component>,
    /// Adobe's code of the colours: 0 none, 1 luma and chroma, 2 those and black.
    adobe: Option<u8>,
    has_jfif: bool,
}

/// A plane of the image: its name, and how many samples a unit has in a row and in a column.
#[derive(Clone, Copy, Debug)]
struct Component {
    id: u8,
    sampling: (u8, u8),
}

/// A scan: the planes that it holds, and whether it begins them (a progressive file refines them later).
struct Scan {
    components: Vec<u8>,
    begins: bool,
}

impl Head {
    /// Reads the headers of `file` from its start up to the first scan. The error says what is wrong.
    ///
    /// Bytes between two segments are passed over, as decoders do.
    pub(super) fn read(file: &mut (impl BufRead + Seek)) -> Result<Self, String> {
        file.seek(SeekFrom::Start(2)).map_err(|_| cut_off())?;
        let (mut frame, mut orientation, mut adobe, mut has_jfif) = (None, None, None, false);
        loop {
            let marker = next_marker(file)?;
            match marker {
                0x01 | 0xD0..=0xD7 => continue, // They stand alone.
                START_OF_IMAGE => return Err("the JPEG file begins twice".to_owned()),
                END_OF_IMAGE => return Err("the JPEG file ends before its image".to_owned()),
                _ => {}
            }
            let length = usize::from(u16::from_be_bytes(bytes(file)?));
            let length = length.checked_sub(2).ok_or("a segment of the JPEG file is shorter than its length")?;
            match marker {
                BASELINE | EXTENDED | PROGRESSIVE => {
                    if frame.replace(Self::frame(marker, &segment(file, length)?)?).is_some() {
                        return Err("the JPEG file has several frames".to_owned());
                    }
                }
                // Between these lie tables for Huffman's and for arithmetic codes.
                0xC3..=0xCF if !matches!(marker, 0xC4 | 0xCC) => return Err(unsupported(marker)),
                0xDE | 0xDF => return Err(unsupported(marker)),
                START_OF_SCAN => {
                    let frame = frame.ok_or("the JPEG file has no frame with a size")?;
                    let orientation = orientation.unwrap_or(Orientation::NoTransforms);
                    return Ok(Self { orientation, adobe, has_jfif, ..frame });
                }
                JFIF => has_jfif |= segment(file, length)?.starts_with(b"JFIF\0"),
                EXIF => {
                    let segment = segment(file, length)?;
                    let exif = segment.strip_prefix(b"Exif\0\0");
                    orientation = orientation.or_else(|| exif.and_then(Orientation::from_exif_chunk));
                }
                ADOBE => {
                    let segment = segment(file, length)?;
                    adobe = segment.starts_with(b"Adobe").then(|| segment.get(11).copied()).flatten().or(adobe);
                }
                _ => skip(file, length)?,
            }
        }
    }

    /// A frame's header, of which the segment is everything behind the length.
    fn frame(marker: u8, segment: &[u8]) -> Result<Self, String> {
        let [precision, h0, h1, w0, w1, n, components @ ..] = segment else {
            return Err("the JPEG file's frame is cut off".to_owned());
        };
        let (height, width) = (u16::from_be_bytes([*h0, *h1]), u16::from_be_bytes([*w0, *w1]));
        if *precision != 8 {
            return Err(format!("the JPEG file has {precision} bits a sample; 8 can be read"));
        }
        if width == 0 {
            return Err("the JPEG file has no columns".to_owned());
        }
        if height == 0 {
            return Err("the JPEG file does not say its height before its pixels".to_owned());
        }
        let components: Vec<Component> = components
            .chunks_exact(3)
            .map(|component| Component { id: component[0], sampling: (component[1] >> 4, component[1] & 15) })
            .collect();
        if components.len() != usize::from(*n) || !matches!(n, 1 | 3 | 4) {
            return Err(format!("the JPEG file has {n} colour components; 1, 3 and 4 can be read"));
        }
        if components.iter().any(|c| !(1..=4).contains(&c.sampling.0) || !(1..=4).contains(&c.sampling.1)) {
            return Err("the JPEG file has a sampling factor that is not 1 to 4".to_owned());
        }
        if (1..components.len()).any(|i| components[..i].iter().any(|other| other.id == components[i].id)) {
            return Err("the JPEG file names two colour components alike".to_owned());
        }
        Ok(Self {
            height: height.into(),
            width: width.into(),
            orientation: Orientation::NoTransforms,
            is_progressive: marker == PROGRESSIVE,
            components,
            adobe: None,
            has_jfif: false,
        })
    }

    /// Whether zune-jpeg, the decoder of `image`, reads files of this kind: a sequential file in one scan, or a progressive one
    /// with its planes together in the first scan; luma and chroma in the usual proportions and colours.
    ///
    /// It decodes other kinds too, some of them to other pixels without a word.
    fn is_usual(&self, scans: &[Scan]) -> bool {
        let is_interleaved = scans.first().is_some_and(|scan| scan.components.len() == self.components.len());
        let samplings: Vec<(u8, u8)> = self.components.iter().map(|component| component.sampling).collect();
        let ids: Vec<u8> = self.components.iter().map(|component| component.id).collect();
        let has_usual_samples = match samplings[..] {
            [(1, 1)] => true,
            [luma, (1, 1), (1, 1)] => matches!(luma, (1, 1) | (2, 1) | (1, 2) | (2, 2)),
            [(1, 1), (1, 1), (1, 1), (1, 1)] => true,
            _ => false,
        };
        let has_usual_colours = match (&ids[..], self.colours()) {
            ([_], _) => true,
            // Planes are told by their places: only names that spell RGB change what they are taken for.
            (names @ [_, _, _], ColorTransform::YCbCr) if names != b"RGB" => {
                self.adobe.is_none_or(|transform| transform == 1)
            }
            ([_, _, _, _], _) => matches!(self.adobe, Some(0 | 2)),
            _ => false,
        };
        is_interleaved && has_usual_samples && has_usual_colours
    }

    /// What the planes are, by the rules of libjpeg: JFIF means luma and chroma, then Adobe's code counts, then the planes' names.
    fn colours(&self) -> ColorTransform {
        let ids: Vec<u8> = self.components.iter().map(|component| component.id).collect();
        match (ids.len(), self.has_jfif, self.adobe) {
            (1, ..) => ColorTransform::Grayscale,
            (3, false, Some(0)) => ColorTransform::RGB,
            (3, false, None) if ids == *b"RGB" => ColorTransform::RGB,
            (3, ..) => ColorTransform::YCbCr,
            (_, _, None | Some(0)) => ColorTransform::CMYK,
            (_, _, Some(_)) => ColorTransform::YCCK,
        }
    }

    /// Checks that every plane is there, once in a sequential file.
    fn check_scans(&self, scans: &[Scan]) -> Result<(), String> {
        for &Component { id, .. } in &self.components {
            let n = scans.iter().filter(|scan| scan.begins && scan.components.contains(&id)).count();
            if n == 0 {
                return Err(format!("no scan of the JPEG file begins its colour component {id}"));
            }
            if n > 1 && !self.is_progressive {
                return Err(format!("{n} scans of the JPEG file hold its colour component {id}"));
            }
        }
        Ok(())
    }
}

/// The pixels of a JPEG file, and how they have to be turned to be upright. The error says what is wrong.
pub(super) fn decode(bytes: &[u8]) -> Result<(DynamicImage, Orientation), String> {
    let mut file = Cursor::new(bytes);
    let head = Head::read(&mut file)?;
    // The first scan's marker and length have been read.
    let scans = scans(bytes, file.position() as usize - 4)?;
    head.check_scans(&scans)?;
    let image = match head.is_usual(&scans) {
        true => ImageReader::with_format(Cursor::new(bytes), ImageFormat::Jpeg).decode().map_err(|e| e.to_string())?,
        false => decode_unusual(bytes, &head)?,
    };
    let found = (image.height() as usize, image.width() as usize);
    if found != (head.height, head.width) {
        return Err(format!("{}×{} pixels decoded, its header says {}×{}", found.1, found.0, head.width, head.height));
    }
    Ok((image, head.orientation))
}

fn decode_unusual(bytes: &[u8], head: &Head) -> Result<DynamicImage, String> {
    let mut decoder = jpeg_decoder::Decoder::new(bytes);
    decoder.set_color_transform(head.colours());
    let pixels = decoder.decode().map_err(|e| e.to_string())?;
    let format = decoder.info().ok_or("the JPEG file has no frame with a size")?.pixel_format;
    let (width, height) = (head.width as u32, head.height as u32);
    let image = match format {
        PixelFormat::L8 => GrayImage::from_raw(width, height, pixels).map(DynamicImage::from),
        PixelFormat::RGB24 => RgbImage::from_raw(width, height, pixels).map(DynamicImage::from),
        PixelFormat::CMYK32 => RgbImage::from_raw(width, height, rgb(&pixels)).map(DynamicImage::from),
        PixelFormat::L16 => None,
    };
    image.ok_or_else(|| "the JPEG file's pixels are not those of its header".to_owned())
}

/// Four colours of a printer, which Adobe writes inverted, as PIL converts them.
fn rgb(cmyk: &[u8]) -> Vec<u8> {
    let channel = |ink: u8, black: u8| {
        let product = u32::from(255 - ink) * u32::from(255 - black) + 128;
        ((product + (product >> 8)) >> 8) as u8
    };
    cmyk.as_chunks::<4>().0.iter().flat_map(|&[c, m, y, k]| [channel(c, k), channel(m, k), channel(y, k)]).collect()
}

/// The scans of a file whose first one has its marker at `at`. The error says that the file does not end, or that there is
/// something between the scans that changes the frame.
fn scans(bytes: &[u8], mut at: usize) -> Result<Vec<Scan>, String> {
    let byte = |at: usize| bytes.get(at).copied().ok_or_else(cut_off);
    let mut scans = Vec::new();
    loop {
        let marker = loop {
            // Nearly all of a file is looked at here: byte by byte it would take a quarter of the time of decoding.
            at += memchr::memchr(MARKER, bytes.get(at..).unwrap_or_default()).ok_or_else(cut_off)?;
            match byte(at + 1)? {
                // In entropy-coded data a marker's first byte is followed by 0 or a restart number.
                0x00 | 0x01 | MARKER | 0xD0..=0xD7 => at += 1,
                marker => break marker,
            }
        };
        if marker == END_OF_IMAGE {
            return Ok(scans);
        }
        let length = usize::from(u16::from_be_bytes([byte(at + 2)?, byte(at + 3)?]));
        match marker {
            START_OF_SCAN => scans.push(Scan::read(bytes.get(at + 4..at + 2 + length).ok_or_else(cut_off)?)?),
            NUMBER_OF_LINES => return Err("the JPEG file changes its height behind its pixels".to_owned()),
            START_OF_IMAGE => return Err("the JPEG file begins twice".to_owned()),
            0xC0..=0xCF if !matches!(marker, 0xC4 | 0xCC) => return Err("the JPEG file has several frames".to_owned()),
            _ => {}
        }
        at += 2 + length;
    }
}

impl Scan {
    /// A scan's header, of which the segment is everything behind the length.
    fn read(segment: &[u8]) -> Result<Self, String> {
        let n = segment.first().map_or(0, |&n| usize::from(n));
        let (Some(components), Some(&[start, _, precision])) =
            (segment.get(1..1 + 2 * n), segment.get(1 + 2 * n..).and_then(|rest| rest.first_chunk::<3>()))
        else {
            return Err("a scan's header in the JPEG file is cut off".to_owned());
        };
        let components = components.chunks_exact(2).map(|component| component[0]).collect();
        // The first bits of the mean of each block; the other coefficients and bits come later.
        Ok(Self { components, begins: start == 0 && precision >> 4 == 0 })
    }
}

/// The next marker's second byte.
fn next_marker(file: &mut impl BufRead) -> Result<u8, String> {
    let mut marker = 0;
    while marker == 0 {
        while marker != MARKER {
            [marker] = bytes(file)?;
        }
        // Any number of these may stand in front of a marker; a 0 behind them means that it was none.
        while marker == MARKER {
            [marker] = bytes(file)?;
        }
    }
    Ok(marker)
}

fn segment(file: &mut impl BufRead, length: usize) -> Result<Vec<u8>, String> {
    let mut segment = vec![0; length];
    file.read_exact(&mut segment).map_err(|_| cut_off())?;
    Ok(segment)
}

fn skip(file: &mut impl Seek, length: usize) -> Result<(), String> {
    file.seek_relative(length as i64).map_err(|_| cut_off())
}

fn bytes<const N: usize>(file: &mut impl BufRead) -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes).map_err(|_| cut_off())?;
    Ok(bytes)
}

fn cut_off() -> String {
    "the JPEG file is cut off".to_owned()
}

fn unsupported(marker: u8) -> String {
    let kind = match marker {
        0xC3 | 0xC7 | 0xCB | 0xCF => "lossless",
        0xC9 | 0xCA | 0xCD | 0xCE => "arithmetic",
        0xC5 | 0xC6 | 0xDE | 0xDF => "hierarchical",
        _ => "reserved",
    };
    format!(
        "the JPEG file is of the {kind} kind; baseline, extended and progressive ones with Huffman's codes can be read"
    )
}
