//! The table of an admission, as plain text.

use std::fmt;

use comfy_table::{ContentArrangement, Table, presets};

use super::{
    need::need,
    verdict::{Admission, CountedBy, NodeRow, cores},
};
use crate::types::ByteSize;

impl Admission {
    /// The heads of [`Admission::cells`].
    pub const HEADS: [&'static str; 5] = ["node", "kind", "memory", "CPUs", "counted by"];

    /// The table's cells: a row for each node, the reserve, the sum, the machine.
    pub fn cells(&self) -> Vec<[String; 5]> {
        let mut cells: Vec<_> = self.rows.iter().map(of_node).collect();
        let row = |name: &str, memory, cpus| {
            [name.to_owned(), String::new(), ByteSize(memory).to_string(), cores(cpus), String::new()]
        };
        let (memory, cpus) = self.total();
        cells.push(row("kept for the system", self.reserve.memory, self.reserve.cpus));
        cells.push(row("all together", memory, cpus));
        cells.push(row("this machine has", self.host.memory, self.host.cpus));
        cells
    }
}

fn of_node(row: &NodeRow) -> [String; 5] {
    let need = need(row.kind);
    let mut by = vec![match row.memory_by {
        CountedBy::Limit => "its limit".to_owned(),
        CountedBy::TooSmall => {
            format!("its limit, below the {} that such a node takes", ByteSize(need.least))
        }
        CountedBy::Need => format!("no memory limit: {}", need.source),
    }];
    if row.cpus_by == CountedBy::Need && row.memory_by != CountedBy::Need {
        by.push(format!("no CPU limit: {}", need.source));
    }
    [
        row.node.to_string(),
        row.kind.to_string(),
        ByteSize(row.memory).to_string(),
        cores(row.cpus),
        by.join("; "),
    ]
}

impl fmt::Display for Admission {
    /// The table, and the verdict below it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table
            .load_style(presets::UTF8_HORIZONTAL_ONLY)
            .set_header(Self::HEADS)
            .set_content_arrangement(ContentArrangement::Disabled);
        for cells in self.cells() {
            table.add_row(cells);
        }
        write!(f, "{table}\n{}", self.words())
    }
}
