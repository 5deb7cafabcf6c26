//! The parts of a page. Whatever comes from outside goes through [`escape`].

use std::{fmt::Write as _, fs, path::Path};

use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::EngineError;

/// The style of every report: system fonts, light and dark, tables that scroll on narrow screens.
const STYLE: &str = include_str!("style.css");

/// Larger pictures are named, not embedded.
const MAX_PICTURE_BYTES: u64 = 4 << 20;

/// A page that grows from top to bottom.
pub(super) struct Page {
    title: String,
    body: String,
}

impl Page {
    /// A page with its title as the first head.
    pub(super) fn new(title: &str, subtitle: &str) -> Self {
        let body = format!("<header>\n<h1>{}</h1>\n<p>{}</p>\n</header>\n", escape(title), escape(subtitle));
        Self { title: title.to_owned(), body }
    }

    pub(super) fn head(&mut self, text: &str) {
        self.raw(&format!("<h2>{}</h2>", escape(text)));
    }

    pub(super) fn paragraph(&mut self, text: &str) {
        self.raw(&format!("<p>{}</p>", escape(text)));
    }

    pub(super) fn list(&mut self, items: &[String]) {
        let items: String = items.iter().map(|item| format!("<li>{}</li>\n", escape(item))).collect();
        self.raw(&format!("<ul>\n{items}</ul>"));
    }

    /// A table of text; a column is set as numbers if nothing else is in it.
    pub(super) fn table(&mut self, heads: &[&str], rows: &[Vec<String>]) {
        let rows: Vec<Vec<Cell>> = rows.iter().map(|row| row.iter().map(|text| Cell::text(text)).collect()).collect();
        self.table_of_cells(heads, &rows);
    }

    pub(super) fn table_of_cells(&mut self, heads: &[&str], rows: &[Vec<Cell>]) {
        let is_number = |text: &str| text.chars().all(|c| c.is_ascii_digit() || " .+-–±e%(n=)".contains(c));
        let numeric: Vec<bool> =
            (0..heads.len()).map(|i| rows.iter().all(|row| row.get(i).is_some_and(|c| is_number(&c.text)))).collect();
        let class = |i: usize| if numeric.get(i) == Some(&true) { " class=\"number\"" } else { "" };
        let mut table = String::from("<div class=\"scroll\"><table>\n<thead><tr>");
        for (i, head) in heads.iter().enumerate() {
            let _ = write!(table, "<th{}>{}</th>", class(i), escape(head));
        }
        table.push_str("</tr></thead>\n<tbody>\n");
        for row in rows {
            table.push_str("<tr>");
            for (i, cell) in row.iter().enumerate() {
                let text = escape(&cell.text);
                let _ = match cell.badge {
                    Some(kind) => write!(table, "<td><span class=\"badge {kind}\">{text}</span></td>"),
                    None => write!(table, "<td{}>{text}</td>", class(i)),
                };
            }
            table.push_str("</tr>\n");
        }
        table.push_str("</tbody></table></div>");
        self.raw(&table);
    }

    /// The PNG files of `dir`, by name, each under a caption; nothing if there are none.
    ///
    /// # Errors
    /// If one cannot be read.
    pub(super) fn pictures(&mut self, dir: &Path, caption: &str) -> crate::Result<()> {
        let Ok(entries) = fs::read_dir(dir) else { return Ok(()) };
        let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.retain(|path| path.extension().is_some_and(|e| e == "png"));
        paths.sort();
        for path in paths {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().replace(['-', '_'], " ");
            let caption = if caption.is_empty() { name } else { format!("{caption}: {name}") };
            let caption = escape(&caption);
            let length = fs::metadata(&path).map_err(EngineError::io(&path))?.len();
            if length > MAX_PICTURE_BYTES {
                self.raw(&format!("<p>{caption}: too large to embed, see {}</p>", escape(&path.display().to_string())));
                continue;
            }
            let data = BASE64_STANDARD.encode(fs::read(&path).map_err(EngineError::io(&path))?);
            self.raw(&format!(
                "<figure><img alt=\"{caption}\" src=\"data:image/png;base64,{data}\"><figcaption>{caption}</figcaption></figure>"
            ));
        }
        Ok(())
    }

    /// Adds HTML as it is.
    pub(super) fn raw(&mut self, html: &str) {
        self.body.push_str(html);
        self.body.push('\n');
    }

    pub(super) fn finish(self) -> String {
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n\
             </head>\n<body>\n<main>\n{}</main>\n</body>\n</html>\n",
            escape(&self.title),
            self.body
        )
    }
}

/// A cell of a table.
pub(super) struct Cell {
    text: String,
    badge: Option<&'static str>,
}

impl Cell {
    pub(super) fn text(text: &str) -> Self {
        Self { text: text.to_owned(), badge: None }
    }

    /// Text on a coloured ground, by the name of a class of the style.
    pub(super) fn badge(text: &str, kind: &'static str) -> Self {
        Self { text: text.to_owned(), badge: Some(kind) }
    }
}

/// Text as HTML, in elements and in quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A number for a table: short, without hiding small ones.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if !value.is_finite() => "–".to_owned(),
        _ if value.fract() == 0.0 && size < 1e9 => format!("{value}"),
        _ if (1e-3..1e1).contains(&size) => format!("{value:.4}"),
        _ if (1e1..1e6).contains(&size) => format!("{value:.2}"),
        _ => format!("{value:.3e}"),
    }
}
