//! The report: a row per figure, a column per contestant, the ratio to each of the others, and the floor beside it.

use std::time::Duration;

/// A figure of each contestant, in their order; none where it has no such thing.
pub(crate) type Figures = Vec<Option<f64>>;

/// The report as it grows.
#[derive(Debug)]
pub(crate) struct Table {
    names: Vec<String>,
}

impl Table {
    pub(crate) fn new(names: Vec<String>) -> Self {
        Self { names }
    }

    /// A headline, and the columns below it.
    pub(crate) fn head(&self, title: &str) {
        println!("\n### {title}\n");
        let others = self.names.iter().skip(1).map(|name| format!(" / {name} |"));
        println!("| figure | {} |{} floor |", self.names.join(" | "), others.collect::<String>());
        println!("|{}", "---|".repeat(self.names.len() * 2 + 1));
    }

    /// One figure. The floor says in words what it is of.
    pub(crate) fn row(&self, what: &str, unit: &str, figures: &Figures, floor: &str) {
        let shown = figures.iter().map(|figure| match figure {
            Some(figure) => format!(" {} {unit} |", digits(*figure)),
            None => " |".to_owned(),
        });
        let ours = figures.first().copied().flatten();
        let ratios = figures.iter().skip(1).map(|theirs| match (ours, theirs) {
            (Some(ours), Some(theirs)) if *theirs > 0.0 => format!(" {:.2} |", ours / theirs),
            _ => " |".to_owned(),
        });
        println!("| {what} |{}{} {floor} |", shown.collect::<String>(), ratios.collect::<String>());
    }

    /// How quiet it was, and the like.
    pub(crate) fn note(&self, words: &str) {
        println!("\n{words}");
    }
}

/// Three significant digits, whole numbers as they are.
fn digits(figure: f64) -> String {
    match figure.abs() {
        size if size >= 100.0 || figure.fract() == 0.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        size if size >= 1.0 => format!("{figure:.2}"),
        _ => format!("{figure:.3}"),
    }
}

pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The value below which so many per thousand lie.
pub(crate) fn quantile(sorted: &[Duration], per_mille: usize) -> Duration {
    let rank = (sorted.len() * per_mille).div_ceil(1000).saturating_sub(1);
    sorted.get(rank).copied().unwrap_or_default()
}
