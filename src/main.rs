//! The `relaymux` command.

#[tokio::main]
async fn main() -> std::process::ExitCode {
    relaymux::cli::main().await
}
