//! How far something is that takes long: a bar on standard error, where that is a terminal. In a pipe, a file or a journal there is nothing.
//!
//! What commands say goes through [`aside`], so that a line never lands in the middle of a bar.

use std::{
    io::{self, IsTerminal},
    sync::LazyLock,
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Between two pictures of a bar.
const TICK: Duration = Duration::from_millis(120);

/// All bars of the process.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Lets something write to the terminal while the bars are out of its way.
pub(super) fn aside<T>(write: impl FnOnce() -> T) -> T {
    BARS.suspend(write)
}

/// The bar of one thing; gone when it is dropped.
#[derive(Debug)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Something of which so many parts are known beforehand; none where that is not known.
    pub(super) fn of(total: Option<usize>, what: impl Into<String>) -> Self {
        let bar = match total {
            Some(total) => ProgressBar::new(u64::try_from(total).unwrap_or(u64::MAX)),
            None => ProgressBar::no_length(),
        };
        // Hidden by itself where standard error is no terminal.
        let bar = BARS.add(bar);
        bar.set_style(style(total.is_some()));
        bar.set_message(what.into());
        if !bar.is_hidden() {
            bar.enable_steady_tick(TICK);
        }
        Self(bar)
    }

    /// The same beside a long output: there is no bar where that goes to the terminal itself.
    pub(super) fn beside_output(what: impl Into<String>) -> Self {
        let progress = Self::of(None, what);
        if io::stdout().is_terminal() {
            progress.0.disable_steady_tick();
            progress.0.set_draw_target(ProgressDrawTarget::hidden());
        }
        progress
    }

    /// So many more parts are done.
    pub(super) fn step(&self, parts: usize) {
        self.0.inc(u64::try_from(parts).unwrap_or(u64::MAX));
    }

    /// So many are done, of so many if that is known by now.
    pub(super) fn at(&self, done: usize, total: Option<usize>) {
        if let Some(total) = total {
            self.0.set_length(u64::try_from(total).unwrap_or(u64::MAX));
            self.0.set_style(style(true));
        }
        self.0.set_position(u64::try_from(done).unwrap_or(u64::MAX));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
        BARS.remove(&self.0);
    }
}

fn style(has_total: bool) -> ProgressStyle {
    let template = if has_total {
        "{spinner} {msg} {bar:24} {human_pos} of {human_len}, {elapsed}"
    } else {
        "{spinner} {msg} {human_pos}, {elapsed}"
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_sound() {
        for template in [
            "{spinner} {msg} {bar:24} {human_pos} of {human_len}, {elapsed}",
            "{spinner} {msg} {human_pos}, {elapsed}",
        ] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
