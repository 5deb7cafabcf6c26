//! Line charts as inline SVG.

use plotters::prelude::*;

use super::html::{escape, number};

/// A place on a curve, with the range over seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// A curve with its entry in the legend. One without points is left out, but keeps the colour of its place: in all figures of
/// a comparison an arm has the same one.
pub(super) struct Series {
    pub(super) label: String,
    pub(super) points: Vec<Point>,
}

const SIZE: (u32, u32) = (560, 300);

/// Readable on light and dark; the first six are told apart by those who see few colours (Okabe and Ito).
const COLOURS: [RGBColor; 10] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(127, 127, 127),
    RGBColor(148, 103, 189),
    RGBColor(140, 86, 75),
    RGBColor(188, 189, 34),
];

/// A figure with its title, legend and chart; `None` if there is nothing to draw.
///
/// # Errors
/// If the chart cannot be laid out.
pub(super) fn figure(title: &str, x_label: &str, series: &[Series]) -> anyhow::Result<Option<String>> {
    let Some(svg) = svg(x_label, series)? else { return Ok(None) };
    let entry = |(i, s): (usize, &Series)| {
        let RGBColor(r, g, b) = colour(i);
        format!("<span style=\"--swatch: rgb({r},{g},{b})\">{}</span>", escape(&s.label))
    };
    let legend: String = drawn(series).map(entry).collect();
    let title = escape(title);
    Ok(Some(format!(
        "<figure class=\"chart\"><figcaption>{title}</figcaption>\n{svg}<div class=\"legend\">{legend}</div></figure>"
    )))
}

/// The curves that have points, with their places.
fn drawn(series: &[Series]) -> impl Iterator<Item = (usize, &Series)> {
    series.iter().enumerate().filter(|(_, series)| !series.points.is_empty())
}

fn colour(i: usize) -> RGBColor {
    COLOURS[i % COLOURS.len()]
}

fn svg(x_label: &str, series: &[Series]) -> anyhow::Result<Option<String>> {
    let points = || series.iter().flat_map(|s| &s.points);
    let Some((x_range, y_range)) = range(points().map(|p| p.x)).zip(range(points().flat_map(|p| [p.low, p.high])))
    else {
        return Ok(None);
    };
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin(6)
            .margin_right(14)
            .x_label_area_size(36)
            .y_label_area_size(56)
            .build_cartesian_2d(x_range.0..x_range.1, y_range.0..y_range.1)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(RGBColor(200, 200, 200))
            .x_labels(8)
            .y_labels(6)
            .x_desc(x_label)
            .x_label_formatter(&|&x| number((x * 1e6).round() / 1e6))
            .y_label_formatter(&|&y| tick(y, y_range.1 - y_range.0))
            .label_style(("sans-serif", 16))
            .draw()?;
        for (i, s) in drawn(series) {
            draw(&mut chart, s, colour(i))?;
        }
        root.present()?;
    }
    Ok(Some(svg))
}

type Chart<'a, 'b> = ChartContext<
    'a,
    SVGBackend<'b>,
    Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>,
>;

fn draw(chart: &mut Chart<'_, '_>, series: &Series, colour: RGBColor) -> anyhow::Result<()> {
    let points = &series.points;
    if points.iter().any(|p| p.low < p.high) {
        let high = points.iter().map(|p| (p.x, p.high));
        let low = points.iter().rev().map(|p| (p.x, p.low));
        let band: Vec<(f64, f64)> = high.chain(low).collect();
        chart.draw_series(std::iter::once(Polygon::new(band, colour.mix(0.18))))?;
    }
    match points.as_slice() {
        // A line needs two.
        [only] => drop(chart.draw_series([Circle::new((only.x, only.y), 4, colour.filled())])?),
        _ => drop(chart.draw_series(LineSeries::new(points.iter().map(|p| (p.x, p.y)), colour.stroke_width(2)))?),
    }
    Ok(())
}

/// The smallest and the largest of the values, apart even if they are one.
fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let (low, high) =
        values.filter(|v| v.is_finite()).fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low > high {
        return None;
    }
    let pad = if low == high { (low.abs() * 0.1).max(1e-6) } else { 0.0 };
    Some((low - pad, high + pad))
}

/// A label with as many decimals as the distance of two ticks needs.
fn tick(value: f64, span: f64) -> String {
    let decimals = (1.0 - (span / 6.0).log10().floor()).clamp(0.0, 6.0) as usize;
    if span < 1e-4 || value.abs() >= 1e6 {
        return format!("{value:.1e}");
    }
    let text = format!("{value:.decimals$}");
    let short = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if short == "-0" { "0".to_owned() } else { short.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(x: f64, y: f64) -> Point {
        Point { x, y, low: y, high: y }
    }

    #[test]
    fn a_curve_without_points_is_left_out_and_keeps_its_colour() {
        let series = |label: &str, points| Series { label: label.into(), points };
        let both = [series("empty", Vec::new()), series("full", vec![point(1.0, 1.0), point(2.0, 2.0)])];
        let html = figure("title", "epoch", &both).unwrap().unwrap();
        let RGBColor(r, g, b) = COLOURS[1];
        assert!(!html.contains("empty") && html.contains(&format!("--swatch: rgb({r},{g},{b})")), "{html}");
        assert!(html.contains(&format!("#{r:02X}{g:02X}{b:02X}")), "{html}");
    }

    #[test]
    fn a_curve_is_a_line_and_a_range_is_a_band() {
        let mut points = vec![point(1.0, 0.2), point(2.0, 0.4)];
        let line = svg("epoch", &[Series { label: "a".into(), points: points.clone() }]).unwrap().unwrap();
        assert!(line.contains("#0072B2") && !line.contains("<polygon"), "{line}");
        points[1].high = 0.5;
        let band = svg("epoch", &[Series { label: "a".into(), points }]).unwrap().unwrap();
        assert!(band.contains("<polygon"), "{band}");
    }

    #[test]
    fn one_point_is_a_dot_and_none_is_no_chart() {
        let one = svg("epoch", &[Series { label: "a".into(), points: vec![point(3.0, 0.0)] }]).unwrap().unwrap();
        assert!(one.contains("<circle"), "{one}");
        assert!(svg("epoch", &[Series { label: "a".into(), points: Vec::new() }]).unwrap().is_none());
    }

    #[test]
    fn labels_are_as_long_as_the_span_needs() {
        assert_eq!(tick(0.25, 0.3), "0.25");
        assert_eq!(tick(2.0, 10.0), "2");
        assert_eq!(tick(-0.0, 1.0), "0");
        assert_eq!(tick(30.0, 60.0), "30");
        assert_eq!(tick(0.00003, 0.00005), "3.0e-5");
    }

    #[test]
    fn a_legend_is_escaped() {
        let series = [Series { label: "a<b".into(), points: vec![point(1.0, 1.0)] }];
        let html = figure("x & y", "epoch", &series).unwrap().unwrap();
        assert!(html.contains("a&lt;b") && html.contains("x &amp; y"), "{html}");
    }
}
