//! The `dwindle` program; everything is in the library's `cli` module.

fn main() -> std::process::ExitCode {
    dwindle::cli::main()
}
