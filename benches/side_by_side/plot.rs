//! Panels of lines over logarithmic axes, as SVG.

/// One picture: how some figures grow with one thing.
#[derive(Debug)]
pub(crate) struct Panel {
    /// What grows, along the bottom.
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) lines: Vec<Line>,
}

/// A figure at several sizes.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

const COLOURS: [&str; 3] = ["#1f6feb", "#d1242f", "#1a7f37"];
const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 240.0;
/// Around what is drawn: numbers, names, and room for the largest.
const LEFT: f64 = 60.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 58.0;
const BOTTOM: f64 = 40.0;

/// A logarithmic axis over whole powers of ten.
struct Axis {
    from: f64,
    decades: f64,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64> + Clone) -> Self {
        let least = values.clone().fold(f64::MAX, f64::min).max(0.01);
        let most = values.fold(least, f64::max);
        let from = least.log10().floor();
        Self { from, decades: (most.log10().ceil() - from).max(1.0) }
    }

    /// Where a value lies, from 0 to 1.
    fn place(&self, value: f64) -> f64 {
        ((value.max(0.01).log10() - self.from) / self.decades).clamp(0.0, 1.0)
    }

    fn ticks(&self) -> Vec<f64> {
        let mut ticks = Vec::new();
        let mut exponent = self.from;
        while exponent <= self.from + self.decades + 0.5 {
            ticks.push(10_f64.powf(exponent));
            exponent += 1.0;
        }
        ticks
    }
}

/// All panels, two in a row.
pub(crate) fn draw(panels: &[Panel]) -> String {
    let rows = panels.len().div_ceil(2) as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        WIDTH * 2.0,
        HEIGHT * rows
    );
    for (n, panel) in panels.iter().enumerate() {
        let (x, y) = ((n % 2) as f64 * WIDTH, (n / 2) as f64 * HEIGHT);
        svg.push_str(&format!("<g transform=\"translate({x},{y})\">\n{}</g>\n", one(panel)));
    }
    svg.push_str("</svg>\n");
    svg
}

fn one(panel: &Panel) -> String {
    let points = || panel.lines.iter().flat_map(|line| &line.points);
    let (along, up) = (Axis::over(points().map(|point| point.0)), Axis::over(points().map(|point| point.1)));
    let (inner_width, inner_height) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
    let x = |value: f64| LEFT + along.place(value) * inner_width;
    let y = |value: f64| HEIGHT - BOTTOM - up.place(value) * inner_height;
    let mut svg = String::new();
    for tick in up.ticks() {
        let at = y(tick);
        svg.push_str(&format!(
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>\n\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{tick} {}</text>\n",
            WIDTH - RIGHT,
            LEFT - 5.0,
            at + 4.0,
            panel.unit
        ));
    }
    let mut named = Vec::new();
    for (value, _) in panel.lines.iter().flat_map(|line| &line.points) {
        if !named.contains(value) {
            named.push(*value);
            svg.push_str(&format!(
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{value}</text>\n",
                x(*value),
                HEIGHT - BOTTOM + 15.0
            ));
        }
    }
    svg.push_str(&format!(
        "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\" font-weight=\"bold\">{}</text>\n",
        LEFT + inner_width / 2.0,
        HEIGHT - 8.0,
        panel.title
    ));
    for (n, (line, colour)) in panel.lines.iter().zip(COLOURS).enumerate() {
        let path: Vec<String> =
            line.points.iter().map(|(along, up)| format!("{:.1},{:.1}", x(*along), y(*up))).collect();
        svg.push_str(&format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n",
            path.join(" ")
        ));
        for point in &path {
            let (along, up) = point.split_once(',').unwrap_or_default();
            svg.push_str(&format!("<circle cx=\"{along}\" cy=\"{up}\" r=\"3\" fill=\"{colour}\"/>\n"));
        }
        svg.push_str(&format!(
            "<text x=\"{LEFT}\" y=\"{}\" fill=\"{colour}\">{}</text>\n",
            14.0 + n as f64 * 14.0,
            line.name
        ));
    }
    svg
}
