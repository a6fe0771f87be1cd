//! Rows in columns, in as much width as there is.
//!
//! When it is too narrow, texts are clipped, down to their least width; if that is not enough, columns go, those with the
//! highest rank first; what is still too long is cut.

use super::text::{clip, width};

/// Between two columns.
const GAP: usize = 2;

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    /// What stands over this column and its neighbours of the same group.
    pub(super) group: &'static str,
    pub(super) title: &'static str,
    pub(super) align: Align,
    /// Columns of the terminal that it takes at least, and at most.
    pub(super) width: [usize; 2],
    /// Those with a higher rank go first; 0 stays.
    pub(super) rank: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// The lines of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lines {
    /// Titles; above them a line of groups, if there are any.
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<String>,
}

/// Lays out `rows`, whose cells are escaped, in at most `room` columns.
pub(super) fn lay_out<const N: usize>(columns: &[Column; N], rows: &[[String; N]], room: usize) -> Lines {
    let mut widths: [usize; N] = std::array::from_fn(|n| {
        let [least, most] = columns[n].width;
        let widest = rows.iter().map(|row| width(&row[n])).max().unwrap_or(0);
        widest.min(most).max(least).max(width(columns[n].title))
    });
    // Half of a figure is another figure.
    let floor = |n: usize, widths: &[usize; N]| match columns[n].align {
        Align::Left => widths[n].min(columns[n].width[0].max(width(columns[n].title))),
        Align::Right => widths[n],
    };
    let mut kept: Vec<usize> = (0..N).collect();
    while total(kept.iter().map(|&n| floor(n, &widths))) > room {
        let Some(last) = (0..kept.len()).max_by_key(|&at| columns[kept[at]].rank) else { break };
        if columns[kept[last]].rank == 0 {
            break;
        }
        kept.remove(last);
    }
    while total(kept.iter().map(|&n| widths[n])) > room {
        let slack = |&n: &usize| widths[n] - floor(n, &widths);
        let Some(widest) = kept.iter().copied().filter(|n| slack(n) > 0).max_by_key(|&n| widths[n]) else { break };
        widths[widest] -= 1;
    }
    let line = |cells: &dyn Fn(usize) -> String| {
        let cells: Vec<_> = kept.iter().map(|&n| cell(&cells(n), widths[n], columns[n].align)).collect();
        clip(cells.join(&" ".repeat(GAP)).trim_end(), room)
    };
    let mut head = vec![line(&|n| columns[n].title.to_owned())];
    if kept.iter().any(|&n| !columns[n].group.is_empty()) {
        head.insert(0, clip(&groups(columns, &kept, &widths), room));
    }
    Lines { head, rows: rows.iter().map(|row| line(&|n| row[n].clone())).collect() }
}

fn total(widths: impl Iterator<Item = usize>) -> usize {
    widths.map(|width| width + GAP).sum::<usize>().saturating_sub(GAP)
}

fn cell(text: &str, room: usize, align: Align) -> String {
    let text = clip(text, room);
    let space = " ".repeat(room - width(&text));
    if align == Align::Left { text + &space } else { space + &text }
}

/// The name of each group in the middle of a rule over its columns.
fn groups<const N: usize>(columns: &[Column; N], kept: &[usize], widths: &[usize; N]) -> String {
    let spans = kept.chunk_by(|&a, &b| columns[a].group == columns[b].group);
    let spans = spans.map(|span| {
        let (name, room) = (columns[span[0]].group, total(span.iter().map(|&n| widths[n])));
        if name.is_empty() { " ".repeat(room) } else { format!("{:-^room$}", clip(&format!(" {name} "), room)) }
    });
    spans.collect::<Vec<_>>().join(&" ".repeat(GAP)).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::text::width;
    use super::{Align, Column, lay_out};

    const COLUMNS: [Column; 4] = [
        Column { group: "", title: "WHO", align: Align::Left, width: [4, 10], rank: 0 },
        Column { group: "app", title: "A", align: Align::Right, width: [4, 8], rank: 1 },
        Column { group: "app", title: "B", align: Align::Right, width: [4, 8], rank: 2 },
        Column { group: "", title: "LAST", align: Align::Left, width: [0, 8], rank: 0 },
    ];

    fn rows() -> [[String; 4]; 2] {
        [["alexandra", "1", "20", "open"], ["用户用户用户", "300", "4000000", "closing now"]]
            .map(|row| row.map(String::from))
    }

    #[test]
    fn columns_stand_under_their_titles() {
        let lines = lay_out(&COLUMNS, &rows(), 80);
        assert_eq!(lines.head, ["            ---- app ----", "WHO            A        B  LAST"]);
        assert_eq!(lines.rows, ["alexandra      1       20  open", "用户用户…    300  4000000  closing…"]);
    }

    #[test]
    fn what_does_not_fit_is_clipped_then_left_out_then_cut() {
        let titles = |room| lay_out(&COLUMNS, &rows(), room).head.pop().unwrap();
        assert_eq!(titles(30), "WHO         A        B  LAST");
        let lines = lay_out(&COLUMNS, &rows(), 25);
        assert_eq!(lines.rows, ["ale…     1       20  open", "用…    300  4000000  clo…"]);
        assert_eq!(titles(24), "WHO          A  LAST");
        assert_eq!(titles(15), "WHO      LAST");
        assert_eq!(lay_out(&COLUMNS, &rows(), 7).rows[0], "ale…  …");
        for room in 0..60 {
            let lines = lay_out(&COLUMNS, &rows(), room);
            let longest = lines.head.iter().chain(&lines.rows).map(|line| width(line)).max();
            assert!(longest <= Some(room), "{room}: {lines:?}");
        }
    }

    #[test]
    fn a_table_of_nothing_is_its_head() {
        let lines = lay_out(&COLUMNS, &[], 80);
        assert_eq!((lines.head.len(), lines.rows.len()), (2, 0));
    }
}
