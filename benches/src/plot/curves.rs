//! One figure of many measurements, by subject.

use anyhow::Context as _;
use serde_json::Value;

use crate::report::Line;

/// What is to be drawn.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plotted {
    /// Whose values stand on the vertical axis.
    figure: String,
    /// What all measurements have in common.
    pub(super) common: Option<Common>,
    /// In the order in which they come.
    pub(super) curves: Vec<Curve>,
}

/// What is the same in all measurements of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Common {
    pub(super) bench: String,
    /// What the number in the case counts, such as `nodes`.
    pub(super) unit: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Curve {
    pub(super) subject: String,
    /// Ascending by the number in the case, which no two of them share.
    pub(super) points: Vec<(f64, f64)>,
}

impl Plotted {
    pub(super) fn new(figure: &str) -> Plotted {
        Plotted { figure: figure.to_owned(), common: None, curves: Vec::new() }
    }

    /// Takes in lines of JSON.
    pub(super) fn read(&mut self, text: &str) -> anyhow::Result<()> {
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            self.take(line).with_context(|| format!("line {}", index + 1))?;
        }
        Ok(())
    }

    fn take(&mut self, line: &str) -> anyhow::Result<()> {
        let line = Line::parse(line).context("no measurement in JSON")?;
        let text = |name: &str| -> anyhow::Result<&str> {
            line.0.get(name).and_then(Value::as_str).with_context(|| format!("no `{name}`"))
        };
        let (bench, subject, case) = (text("bench")?, text("subject")?, text("case")?);
        let (x, unit) = split(case).with_context(|| format!("no number in the case {case:?}"))?;
        anyhow::ensure!(x > 0.0, "a logarithmic axis has no place for the case {case:?}");
        let y = self.value(&line)?;
        let common = Common { bench: bench.to_owned(), unit };
        let first = self.common.get_or_insert_with(|| common.clone());
        anyhow::ensure!(
            *first == common,
            "{bench:?}, {case:?} is something else than the lines before it: {:?}, so many {:?}",
            first.bench,
            first.unit
        );
        let found = self.curves.iter().position(|curve| curve.subject == subject);
        let index = found.unwrap_or_else(|| {
            self.curves.push(Curve { subject: subject.to_owned(), points: Vec::new() });
            self.curves.len() - 1
        });
        let points = &mut self.curves[index].points;
        let place = points.partition_point(|(other, _)| *other < x);
        let is_there = points.get(place).is_some_and(|(other, _)| *other == x);
        anyhow::ensure!(!is_there, "{subject:?} was measured before in the case {case:?}");
        points.insert(place, (x, y));
        Ok(())
    }

    fn value(&self, line: &Line) -> anyhow::Result<f64> {
        let figure = &self.figure;
        let Some(value) = line.0.get(figure) else {
            let numbers = line.0.iter().filter(|(_, value)| value.is_number());
            let names: Vec<&str> = numbers.map(|(name, _)| name.as_str()).collect();
            anyhow::bail!("no figure `{figure}`: there are {}", names.join(", "));
        };
        let y = value.as_f64().with_context(|| format!("`{figure}` is no number: {value}"))?;
        anyhow::ensure!(y > 0.0, "a logarithmic axis has no place for `{figure}` = {y}");
        Ok(y)
    }

    /// All values of an axis.
    pub(super) fn all(&self, of: impl Fn(&(f64, f64)) -> f64) -> Vec<f64> {
        self.curves.iter().flat_map(|curve| curve.points.iter().map(&of)).collect()
    }
}

/// The first number of a case, and what stands around it.
fn split(case: &str) -> Option<(f64, String)> {
    let begin = case.find(|it: char| it.is_ascii_digit())?;
    let is_of_number = |it: char| it.is_ascii_digit() || it == '.';
    let len = case[begin..].find(|it| !is_of_number(it)).unwrap_or(case.len() - begin);
    let (number, after) = case[begin..].split_at(len);
    let x = number.parse().ok()?;
    let around: Vec<&str> =
        case[..begin].split_whitespace().chain(after.split_whitespace()).collect();
    Some((x, around.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = r#"{"bench":"steady","subject":"chitchat","case":"100 nodes","bytes":30,"cpu":0.5}

{"bench":"steady","subject":"original","case":"100 nodes","bytes":400.5,"none":null}
{"bench":"steady","subject":"chitchat","case":"10 nodes","bytes":20}
"#;

    fn read(figure: &str, text: &str) -> Result<Plotted, String> {
        let mut plotted = Plotted::new(figure);
        plotted.read(text).map_err(|error| format!("{error:#}"))?;
        Ok(plotted)
    }

    #[test]
    fn each_subject_has_a_curve_in_the_order_of_the_cases() {
        let plotted = read("bytes", LINES).unwrap();
        let curve = |subject: &str, points: &[(f64, f64)]| Curve {
            subject: subject.to_owned(),
            points: points.to_vec(),
        };
        let expected = [
            curve("chitchat", &[(10.0, 20.0), (100.0, 30.0)]),
            curve("original", &[(100.0, 400.5)]),
        ];
        assert_eq!(plotted.curves, expected);
        assert_eq!(plotted.common.as_ref().unwrap().unit, "nodes");
        assert_eq!(plotted.all(|(x, _)| *x), [10.0, 100.0, 100.0]);
    }

    #[test]
    fn the_first_number_counts_and_the_rest_is_its_unit() {
        assert_eq!(split("40 nodes, 10 % lost"), Some((40.0, "nodes, 10 % lost".to_owned())));
        assert_eq!(split("urls, 1400 bytes"), Some((1_400.0, "urls, bytes".to_owned())));
        assert_eq!(split("2.5MB"), Some((2.5, "MB".to_owned())));
        assert_eq!(split("peer"), None);
    }

    #[test]
    fn what_cannot_be_drawn_is_told_with_its_line() {
        let with = |case: &str, value: &str| {
            format!(
                "{LINES}{{\"bench\":\"steady\",\"subject\":\"x\",\"case\":\"{case}\",\"bytes\":{value}}}"
            )
        };
        let refused = |figure: &str, text: &str| read(figure, text).unwrap_err();
        assert_eq!(refused("ram", LINES), "line 1: no figure `ram`: there are bytes, cpu",);
        assert_eq!(refused("cpu", LINES), "line 3: no figure `cpu`: there are bytes");
        assert_eq!(
            refused("bytes", &with("all nodes", "1")),
            "line 5: no number in the case \"all nodes\""
        );
        for value in ["0", "-1", "0.0"] {
            let message = refused("bytes", &with("10 nodes", value));
            assert!(message.starts_with("line 5: a logarithmic axis has no place for `bytes`"));
        }
        assert_eq!(
            refused("bytes", &with("10 nodes", "null")),
            "line 5: `bytes` is no number: null"
        );
        for (case, message) in [
            ("0 nodes", "line 5: a logarithmic axis has no place for the case"),
            ("10 keys", "line 5: \"steady\", \"10 keys\" is something else"),
        ] {
            assert!(refused("bytes", &with(case, "1")).starts_with(message), "{case}");
        }
        let again = format!("{LINES}{LINES}");
        assert!(refused("bytes", &again).contains("\"chitchat\" was measured before"));
        for text in ["{", "[1]", "x", r#"{"bench":"steady"}"#] {
            assert!(refused("bytes", text).starts_with("line 1: no "), "{text}");
        }
    }
}
