//! What is printed.

use std::io::Write;

use serde_json::{Map, Value, json};

/// One measurement: names and figures, in the order in which they are printed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line(pub(crate) Map<String, Value>);

/// Names that say what was measured, and not what came of it.
const HEAD: [&str; 3] = ["bench", "subject", "case"];

impl Line {
    /// `case`: what is different between the measurements of one table, such as the number of nodes.
    pub(crate) fn new(bench: &str, subject: &str, case: String) -> Line {
        let [first, second, third] = HEAD;
        let mut map = Map::new();
        map.insert(first.to_owned(), json!(bench));
        map.insert(second.to_owned(), json!(subject));
        map.insert(third.to_owned(), json!(case));
        Line(map)
    }

    pub(crate) fn count(&mut self, name: &str, count: u64) {
        self.0.insert(name.to_owned(), json!(count));
    }

    /// With three decimals; what is no number is null.
    pub(crate) fn figure(&mut self, name: &str, figure: f64) {
        let rounded = (figure * 1_000.0).round() / 1_000.0;
        self.0.insert(name.to_owned(), json!(rounded));
    }

    pub(crate) fn parse(text: &str) -> Result<Line, serde_json::Error> {
        serde_json::from_str(text).map(Line)
    }

    fn text(&self, name: &str) -> String {
        match self.0.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => "–".to_owned(),
            Some(value) => value.to_string(),
        }
    }

    pub(crate) fn print(&self, out: &mut impl Write) -> std::io::Result<()> {
        writeln!(out, "{}", Value::Object(self.0.clone()))
    }
}

/// The part of `sorted` below which is `share` of it, between two of them if need be.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = share * last as f64;
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * at.fract()
}

/// A table in Markdown for each case: a row for each figure, a column for each subject, and how much
/// the first subject needs of what each other needs.
pub(crate) fn table(lines: &[Line], out: &mut impl Write) -> std::io::Result<()> {
    let mut cases: Vec<(String, String)> = Vec::new();
    for line in lines {
        let case = (line.text(HEAD[0]), line.text(HEAD[2]));
        if !cases.contains(&case) {
            cases.push(case);
        }
    }
    for (bench, case) in cases {
        let of_case: Vec<&Line> = lines
            .iter()
            .filter(|line| line.text(HEAD[0]) == bench && line.text(HEAD[2]) == case)
            .collect();
        let Some((first, others)) = of_case.split_first() else { continue };
        write!(out, "\n| {bench}, {case} | {} |", first.text(HEAD[1]))?;
        for other in others {
            write!(out, " {} | ratio |", other.text(HEAD[1]))?;
        }
        write!(out, "\n| --- | ---: |{}", " ---: | ---: |".repeat(others.len()))?;
        for name in first.0.keys().filter(|name| !HEAD.contains(&name.as_str())) {
            write!(out, "\n| {name} | {} |", first.text(name))?;
            for other in others {
                write!(out, " {} | {} |", other.text(name), ratio(first, other, name))?;
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

fn ratio(one: &Line, other: &Line, name: &str) -> String {
    let number = |line: &Line| line.0.get(name)?.as_f64();
    match (number(one), number(other)) {
        (Some(one), Some(other)) if other != 0.0 => format!("{:.3}", one / other),
        _ => "–".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(subject: &str, bytes: f64) -> Line {
        let mut line = Line::new("steady", subject, "100 nodes".to_owned());
        line.figure("bytes", bytes);
        line
    }

    #[test]
    fn a_line_survives_its_way_through_a_pipe_in_its_order() {
        let mut line = line("chitchat", 1.000_4);
        line.count("apples", 3);
        line.figure("nothing", f64::NAN);
        let mut text = Vec::new();
        line.print(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(
            text,
            "{\"bench\":\"steady\",\"subject\":\"chitchat\",\"case\":\"100 nodes\",\"bytes\":1.0,\
             \"apples\":3,\"nothing\":null}\n"
        );
        assert_eq!(Line::parse(&text).unwrap(), line);
    }

    #[test]
    fn subjects_stand_side_by_side_with_their_ratio() {
        let mut text = Vec::new();
        table(&[line("chitchat", 50.0), line("original", 200.0)], &mut text).unwrap();
        let expected = "\n| steady, 100 nodes | chitchat | original | ratio |\n\
                        | --- | ---: | ---: | ---: |\n\
                        | bytes | 50.0 | 200.0 | 0.250 |\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn quantiles_lie_between_neighbours() {
        let sorted = [1.0, 2.0, 4.0];
        assert_eq!([0.0, 0.25, 0.5, 1.0].map(|it| quantile(&sorted, it)), [1.0, 1.5, 2.0, 4.0]);
        assert!(quantile(&[], 0.5).is_nan());
    }
}
