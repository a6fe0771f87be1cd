//! Tables in Markdown.

#![expect(clippy::print_stdout, reason = "the tables are what the race is for")]

use crate::rig::Engine;
use crate::spread::Middle;

use super::board::Board;

/// Names of the columns of ratios.
pub(super) const RATIOS: [&str; 2] = ["io_uring by it", "epoll by it"];

/// A table, row by row.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new<'n>(columns: impl IntoIterator<Item = &'n str>) -> Self {
        Self { rows: vec![columns.into_iter().map(String::from).collect()] }
    }

    /// Adds a row. What is missing on the right stays empty.
    pub(super) fn row(&mut self, mut cells: Vec<String>) {
        cells.resize(self.rows[0].len(), String::new());
        self.rows.push(cells);
    }

    /// Adds a row for an entrant: its cells, or why it has none.
    pub(super) fn entrant<T>(&mut self, board: &Board<T>, entrant: usize, name: &str, cells: Vec<String>) {
        let cells = board.excluded(entrant).map_or(cells, |why| vec![why.replace('|', "/").replace('\n', " ")]);
        self.row([vec![name.to_owned()], cells].concat());
    }

    /// Prints it under a title.
    pub(super) fn print(&self, title: &str) {
        println!("\n### {title}\n");
        for line in self.lines() {
            println!("{line}");
        }
    }

    fn lines(&self) -> Vec<String> {
        let columns = self.rows[0].len();
        let width =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default().max(3);
        let widths: Vec<_> = (0..columns).map(width).collect();
        let line = |cells: &[String]| {
            let padded = cells.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} |"));
            format!("|{}", padded.collect::<String>())
        };
        let rule = widths.iter().map(|width| "-".repeat(width + 2)).collect::<Vec<_>>().join("|");
        let mut lines: Vec<_> = self.rows.iter().map(|row| line(row)).collect();
        lines.insert(1, format!("|{rule}|"));
        lines
    }
}

/// A line beside the tables.
pub(super) fn note(text: &str) {
    println!("{text}");
}

/// The ratios of both engines by an entrant.
pub(super) fn ratios<T>(board: &Board<T>, by: usize, value: impl Fn(&T) -> f64) -> Vec<String> {
    Engine::ALL.map(|engine| ratio(board.ratio(engine.name(), by, &value))).to_vec()
}

/// A ratio with its standard error and what makes it doubtful.
fn ratio(ratio: Option<Middle>) -> String {
    let Some(ratio) = ratio else { return "-".into() };
    let doubt = if ratio.is_noisy() { format!(" (noisy: {:.0}%)", ratio.spread * 100.0) } else { String::new() };
    format!("{:.2} ± {:.2}{doubt}", ratio.median, ratio.error)
}

/// A value with so many decimals.
pub(super) fn value(middle: Option<Middle>, decimals: usize) -> String {
    middle.map_or("-".into(), |middle| format!("{:.decimals$}", middle.median))
}

#[cfg(test)]
mod tests {
    use super::{Table, ratio};
    use crate::spread::Middle;

    #[test]
    fn rows_are_lined_up() {
        let mut table = Table::new(["proxy", "µs"]);
        table.row(vec!["x".into(), "12.34".into()]);
        table.row(vec!["longer".into()]);
        assert_eq!(
            table.lines(),
            ["| proxy  | µs    |", "|--------|-------|", "| x      | 12.34 |", "| longer |       |"]
        );
    }

    #[test]
    fn doubt_is_told() {
        assert_eq!(ratio(Middle::of([0.5, 0.5, 0.5])), "0.50 ± 0.00");
        assert!(ratio(Middle::of([0.4, 0.5, 0.6])).ends_with("(noisy: 40%)"));
        assert_eq!(ratio(None), "-");
    }
}
