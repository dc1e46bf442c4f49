//! The `relaymux` command.

fn main() -> std::process::ExitCode {
    relaymux::cli::main()
}
