//! Tables: aligned columns without frames, so that they read well and `awk` can still take them apart.

use comfy_table::{Attribute, Cell, CellAlignment, Color, Table, presets};

use super::paint::{Paint, Tone};

/// A table while it is filled.
#[derive(Debug)]
pub(crate) struct Columns {
    names: Vec<&'static str>,
    rows: Vec<Vec<Entry>>,
    right: Vec<usize>,
}

/// What stands in a cell.
#[derive(Debug)]
pub(crate) struct Entry {
    text: String,
    tone: Option<Tone>,
}

impl Entry {
    /// A coloured text.
    pub(crate) fn toned(tone: Tone, text: impl Into<Self>) -> Self {
        Self { tone: Some(tone), ..text.into() }
    }
}

impl<T: ToString> From<T> for Entry {
    fn from(text: T) -> Self {
        Self { text: text.to_string(), tone: None }
    }
}

impl Columns {
    /// An empty table with these columns.
    pub(crate) fn new(names: &[&'static str]) -> Self {
        Self { names: names.to_vec(), rows: Vec::new(), right: Vec::new() }
    }

    /// Aligns columns to the right: numbers.
    #[must_use]
    pub(crate) fn right(mut self, columns: &[usize]) -> Self {
        self.right = columns.to_vec();
        self
    }

    /// Adds a row; an empty cell is shown as `-`.
    pub(crate) fn row(&mut self, entries: impl IntoIterator<Item = Entry>) {
        self.rows.push(entries.into_iter().collect());
    }

    /// The table's lines.
    pub(crate) fn render(self, paint: Paint) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        // How wide a terminal is, is its own business: no cell is wrapped.
        table.force_no_tty();
        if paint.is_on() {
            table.enforce_styling();
        }
        table.set_header(self.names.iter().map(|name| cell(name, Some(Tone::Strong))));
        table.add_rows(self.rows.iter().map(|row| row.iter().map(|entry| cell(&entry.text, entry.tone))));
        for index in 0..self.names.len() {
            if let Some(column) = table.column_mut(index) {
                column.set_padding((0, 2));
                if self.right.contains(&index) {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }
}

fn cell(text: &str, tone: Option<Tone>) -> Cell {
    let cell = Cell::new(if text.is_empty() { "-" } else { text });
    match tone {
        None => cell,
        Some(Tone::Good) => cell.fg(Color::DarkGreen),
        Some(Tone::Bad) => cell.fg(Color::DarkRed),
        Some(Tone::Busy) => cell.fg(Color::DarkCyan),
        Some(Tone::Calm) => cell.fg(Color::DarkYellow),
        Some(Tone::Faint) => cell.add_attribute(Attribute::Dim),
        Some(Tone::Strong) => cell.add_attribute(Attribute::Bold),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_empty_cells_are_marked() {
        let mut columns = Columns::new(&["ID", "NAME"]).right(&[0]);
        columns.row([7.into(), "a".into()]);
        columns.row([1_200.into(), Entry::toned(Tone::Bad, "")]);
        assert_eq!(columns.render(Paint::PLAIN), "  ID  NAME\n   7  a\n1200  -");
    }

    #[test]
    fn colours_are_written_where_they_are_on() {
        let mut columns = Columns::new(&["STATE"]);
        columns.row([Entry::toned(Tone::Bad, "error")]);
        assert!(columns.render(Paint::COLOURS).contains("\x1b["), "no colour");
    }
}
