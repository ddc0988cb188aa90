//! The picture.

use anyhow::Context as _;
use plotters::coord::combinators::{BindKeyPoints as _, IntoLogRange as _};
use plotters::prelude::*;

use super::axis;
use super::curves::{Common, Plotted};
use crate::args::Plot;

const SIZE: (u32, u32) = (800, 500);

const FONT: &str = "sans-serif";

/// Apart from each other to all eyes, on white (Okabe and Ito).
const COLORS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

/// How much of the height the legend takes, and each of its rows.
const LEGEND: f64 = 0.1;
const LEGEND_ROW: f64 = 0.05;

const GRID: RGBColor = RGBColor(222, 222, 222);
const FRAME: RGBColor = RGBColor(90, 90, 90);

/// The picture as SVG: the same for the same measurements.
pub(super) fn draw(plotted: &Plotted, args: &Plot) -> anyhow::Result<String> {
    let Common { bench, unit } = plotted.common.as_ref().context("no measurements were read")?;
    let mut svg = String::new();
    {
        let title = args.title.as_deref().unwrap_or(bench);
        let x_label = args.x_label.as_deref().unwrap_or(unit);
        let y_label = args.y_label.as_deref().unwrap_or(&args.figure);
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        // What is around it may be dark.
        area.fill(&WHITE)?;
        let (xs, ys) = (plotted.all(|(x, _)| *x), plotted.all(|(_, y)| *y));
        let (x_range, y_range) = (axis::around(&xs), axis::round(&ys));
        // No curve goes behind the legend.
        let legend = (LEGEND + LEGEND_ROW * plotted.curves.len() as f64).min(0.5);
        let y_range = axis::with_room_above(y_range, &ys, legend);
        let y_ticks = axis::ticks_within(&y_range);
        let mut chart = ChartBuilder::on(&area)
            .caption(title, (FONT, 24))
            .margin(16)
            .x_label_area_size(48)
            .y_label_area_size(84)
            .build_cartesian_2d(
                x_range.log_scale().with_key_points(axis::ticks_at(&xs)),
                y_range.log_scale().with_key_points(y_ticks),
            )?;
        let name = |value: &f64| axis::named(*value);
        chart
            .configure_mesh()
            .x_desc(x_label)
            .y_desc(y_label)
            .x_label_formatter(&name)
            .y_label_formatter(&name)
            .axis_desc_style((FONT, 18))
            .label_style((FONT, 16))
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(FRAME)
            .draw()?;
        for (curve, color) in plotted.curves.iter().zip(COLORS.iter().cycle()) {
            let line = color.stroke_width(2);
            chart
                .draw_series(LineSeries::new(curve.points.iter().copied(), line))?
                .label(&curve.subject)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], line));
            let dots = curve.points.iter().map(|point| Circle::new(*point, 4, color.filled()));
            chart.draw_series(dots)?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .margin(12)
            .label_font((FONT, 17))
            .background_style(WHITE)
            .border_style(GRID)
            .draw()?;
        area.present()?;
    }
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = r#"{"bench":"steady","subject":"chitchat","case":"10 nodes","bytes":1200}
{"bench":"steady","subject":"chitchat","case":"100 nodes","bytes":3400}
{"bench":"steady","subject":"a < b","case":"10 nodes","bytes":2300}
{"bench":"steady","subject":"a < b","case":"100 nodes","bytes":45000}
"#;

    fn args(title: Option<&str>) -> Plot {
        Plot {
            files: Vec::new(),
            figure: "bytes".to_owned(),
            out: "unused.svg".into(),
            title: title.map(str::to_owned),
            x_label: None,
            y_label: None,
        }
    }

    fn plotted() -> Plotted {
        let mut plotted = Plotted::new("bytes");
        plotted.read(LINES).unwrap();
        plotted
    }

    #[test]
    fn a_picture_has_a_background_a_line_and_dots_for_each_subject_and_says_what_is_what() {
        let svg = draw(&plotted(), &args(None)).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        assert!(svg.contains("<rect x=\"0\" y=\"0\" width=\"800\" height=\"500\""));
        // In the picture and in the legend.
        for color in ["#0072B2", "#D55E00"] {
            let lines =
                svg.lines().filter(|line| line.contains("<polyline") && line.contains(color));
            assert_eq!(lines.count(), 2, "{color}");
            let dots = svg.lines().filter(|line| line.contains("<circle") && line.contains(color));
            assert_eq!(dots.count(), 2, "{color}");
        }
        for text in ["steady", "nodes", "bytes", "chitchat", "a &lt; b", "10", "100", "10,000"] {
            assert!(svg.lines().any(|line| line == text), "{text}");
        }
    }

    #[test]
    fn the_same_measurements_give_the_same_picture() {
        let svg = draw(&plotted(), &args(Some("What it costs"))).unwrap();
        assert_eq!(draw(&plotted(), &args(Some("What it costs"))).unwrap(), svg);
        assert!(svg.contains("What it costs") && !svg.contains("steady"));
    }

    #[test]
    fn both_axes_are_logarithmic() {
        let mut plotted = Plotted::new("bytes");
        for (nodes, bytes) in [(1, 10), (10, 100), (100, 1_000)] {
            let line = format!(
                "{{\"bench\":\"b\",\"subject\":\"s\",\"case\":\"{nodes} n\",\"bytes\":{bytes}}}"
            );
            plotted.read(&line).unwrap();
        }
        let svg = draw(&plotted, &args(None)).unwrap();
        let of = |line: &str, name: &str| -> i32 {
            let (_, rest) = line
                .split_once(&format!(" {name}=\""))
                .or_else(|| line.split_once(&format!("{name}=\"")))
                .unwrap();
            rest.split('"').next().unwrap().parse().unwrap()
        };
        let dots: Vec<(i32, i32)> = svg
            .lines()
            .filter(|line| line.starts_with("<circle"))
            .map(|line| (of(line, "cx"), of(line, "cy")))
            .collect();
        let [first, second, third] = dots[..] else { panic!("{dots:?}") };
        assert!((second.0 - first.0 - (third.0 - second.0)).abs() <= 1, "{dots:?}");
        assert!((first.1 - second.1 - (second.1 - third.1)).abs() <= 1, "{dots:?}");
    }

    #[test]
    fn without_measurements_there_is_no_picture() {
        let error = draw(&Plotted::new("bytes"), &args(None)).unwrap_err();
        assert_eq!(error.to_string(), "no measurements were read");
    }
}
