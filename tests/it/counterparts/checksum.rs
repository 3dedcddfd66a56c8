//! The checks of the README, in two languages, on a real answer.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::api::{get, start};

/// The block of the README in this language that reads an answer.
fn block(language: &str) -> String {
    let readme = include_str!("../../../README.md");
    let (_, rest) = readme.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

fn passes(program: &str, flag: &str, script: &str, answer: &[u8]) -> bool {
    let mut child = Command::new(program)
        .args([flag, script])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("{program}: {error}; `deploy/ensure counterparts` installs it")
        });
    child.stdin.take().unwrap().write_all(answer).unwrap();
    child.wait().unwrap().success()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_check_an_answer_in_ten_lines() {
    let app = start("").await;
    let client = app.pool.get().await.unwrap();
    client
        .execute(
            "update property set name = E'Ol''Kalou \\t\"é\\\\☕ \\U0001F600'",
            &[],
        )
        .await
        .unwrap();
    for path in [
        "/properties?include=calendar,host,place,policies",
        "/places",
        "/changes?since=0",
    ] {
        let answer = get(&app, path).await.bytes().await.unwrap();
        let broken = String::from_utf8(answer.to_vec())
            .unwrap()
            .replacen("KE", "KF", 1);
        for (program, flag, language) in [("python3", "-c", "python"), ("node", "-e", "js")] {
            let script = block(language);
            assert!(script.lines().count() <= 12, "{script}");
            assert!(passes(program, flag, &script, &answer), "{program} {path}");
            assert!(
                !passes(program, flag, &script, broken.as_bytes()),
                "{program} {path}"
            );
        }
    }
    app.stop().await;
}
