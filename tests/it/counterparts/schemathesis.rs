//! `schemathesis` of `PyPI` asks the API everything that its description allows, and what it forbids.

use std::path::Path;

use super::program::python;
use crate::api::start;

/// Requests made up for each operation.
const EXAMPLES: &str = "15";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_found_between_the_api_and_its_description() {
    let app = start("api: { requests_per_minute: 0, shared_ms: 0 }\n").await;
    let config =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/counterparts/schemathesis.toml");
    let mut command = python("schemathesis");
    command
        .arg("--config-file")
        .arg(config)
        .arg("run")
        .arg(format!("{}/v1/openapi.json", app.public))
        .args(["--header", "Authorization: Bearer demo"])
        .args([
            "--max-examples",
            EXAMPLES,
            "--generation-deterministic",
            "--continue-on-failure",
        ])
        // What it keeps between runs is not wanted in the checkout.
        .current_dir(std::env::temp_dir());
    let run = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap();
    let run =
        run.unwrap_or_else(|error| panic!("{error}; `deploy/ensure counterparts` installs it"));
    let printed = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success(),
        "{printed}\n{}",
        String::from_utf8_lossy(&run.stderr)
    );
    assert!(printed.contains("Selected: 24/24"), "{printed}");
    app.stop().await;
}
