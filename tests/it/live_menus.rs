//! Menus that change while they are spoken: each dialogue stays in the version that it began in, on any instance.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::sys::signal::Signal;
use reserveflow::jobs;
use reserveflow::session::keeper::Memory;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::app::{CONFIG, TestApp, msisdn, noon, session_id};
use crate::support::binary::Program;
use crate::support::menus::{Folder, copy};
use crate::support::postgres::sample_database;
use crate::support::stores::stores;
use crate::support::{background, eventually};

const GUEST: &str = "+254711000201";
const TITLE: &str = "ReserveFlow: a room tonight";

async fn console(app: &TestApp) -> Value {
    let url = format!("{}/private/menus", app.private);
    app.http
        .get(url)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap()
}

/// Waits until another version than `before` is live, and names it.
async fn next_version(app: &TestApp, before: &Value) -> Value {
    eventually("the changed menus", async || {
        let version = console(app).await["version"].clone();
        (version != *before).then_some(version)
    })
    .await
}

/// Waits until the files are refused, and tells why.
async fn refused(app: &TestApp) -> String {
    eventually("the refusal", async || {
        Some(console(app).await["refused"]["why"].as_str()?.to_owned())
    })
    .await
}

async fn remembered(app: &TestApp, guest: &str) {
    eventually("what is remembered of the guest", async || {
        let pending = app.app.keeper.pending(&msisdn(guest));
        (pending == Memory::default()).then_some(())
    })
    .await;
}

fn start(more: &[&str]) -> Vec<TestApp> {
    let more: Vec<String> = more.iter().map(|&more| more.to_owned()).collect();
    stores();
    background(async move {
        let database = sample_database().await;
        let mut apps = Vec::new();
        for more in more {
            apps.push(TestApp::on(noon(), &more, &database, &stores().redis).await);
        }
        apps
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialogue_ends_in_the_menus_that_it_began_in_and_the_next_one_begins_in_the_changed_ones()
{
    let folder = Folder::new();
    let [app] = &start(&[&folder.setting()])[..] else {
        unreachable!()
    };
    let before = console(app).await["version"].clone();
    let session = session_id();
    let screen = app.call(&session, GUEST, "").await;
    assert!(screen.contains(TITLE), "{screen}");

    // The keys change as well: what was 2 is 1 now, and 1 goes elsewhere.
    folder.retitle(TITLE, "ReserveFlow: sleep well");
    folder.change("booking.yaml", "How many nights?", "Nights, please?");
    let after = next_version(app, &before).await;
    assert_eq!(console(app).await["earlier"], serde_json::json!([before]));

    let screen = app.call(&session, GUEST, "1").await;
    assert!(screen.contains("Where do you sleep?"), "{screen}");
    app.call(&session, GUEST, "1*Nakuru").await;
    let screen = app.call(&session, GUEST, "1*Nakuru*1").await;
    assert!(screen.contains("How many nights?"), "{screen}");
    let screen = app.call(&session, GUEST, "1*Nakuru*1*00").await;
    assert!(screen.contains(TITLE), "{screen}");

    let other = "+254711000202";
    let screen = app.call(&session_id(), other, "").await;
    assert!(screen.contains("ReserveFlow: sleep well"), "{screen}");
    let screen = app
        .dialogue(&session_id(), other, &["1", "Nakuru", "1"])
        .await;
    assert!(screen.contains("Nights, please?"), "{screen}");

    // And back: the same files are the same version.
    folder.change("booking.yaml", "Nights, please?", "How many nights?");
    folder.retitle("ReserveFlow: sleep well", TITLE);
    assert_eq!(next_version(app, &after).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_goes_on_in_menus_that_only_another_one_has() {
    let (old, new) = (Folder::new(), Folder::new());
    new.retitle(TITLE, "ReserveFlow: sleep well");
    new.change("booking.yaml", "How many nights?", "Nights, please?");
    let [one, two] = &start(&[&old.setting(), &new.setting()])[..] else {
        unreachable!()
    };
    for (begins, goes_on, title, question) in [
        (one, two, TITLE, "How many nights?"),
        (two, one, "ReserveFlow: sleep well", "Nights, please?"),
    ] {
        let (session, guest) = (session_id(), format!("+2547110002{}", 10 + title.len()));
        let screen = begins.call(&session, &guest, "").await;
        assert!(screen.contains(title), "{screen}");
        goes_on.call(&session, &guest, "1").await;
        begins.call(&session, &guest, "1*Nakuru").await;
        let screen = goes_on.call(&session, &guest, "1*Nakuru*1").await;
        assert!(screen.contains(question), "{screen}");

        // A dialogue that breaks off is offered in its own words, and goes on in them, wherever it is taken up.
        goes_on.call(&session, &guest, "1*Nakuru*1*2").await;
        remembered(goes_on, &guest).await;
        remembered(begins, &guest).await;
        let again = session_id();
        let screen = goes_on.call(&again, &guest, "").await;
        assert!(screen.contains("Welcome back"), "{screen}");
        let screen = begins.call(&again, &guest, "1").await;
        assert!(screen.contains("How many people?"), "{screen}");
        let screen = goes_on.call(&again, &guest, "1*00").await;
        assert!(screen.contains(title), "{screen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_menu_with_a_fault_is_refused_with_its_place_and_the_old_one_stays() {
    let folder = Folder::new();
    let [app] = &start(&[&folder.setting()])[..] else {
        unreachable!()
    };
    let before = console(app).await;
    folder.retitle("goto: look_up_place", "goto: look_up_plaice");
    let why = refused(app).await;
    let source = fs::read_to_string(folder.path().join("booking.yaml")).unwrap();
    let line = source
        .lines()
        .position(|line| line.contains("plaice"))
        .unwrap();
    let column = source
        .lines()
        .nth(line)
        .unwrap()
        .find("look_up_plaice")
        .unwrap();
    let place = format!("booking.yaml:{}:{}", line + 1, column + 1);
    assert!(why.contains(&place), "{place} is not in {why}");
    assert_eq!(console(app).await["version"], before["version"]);
    let screen = app.call(&session_id(), GUEST, "").await;
    assert!(screen.contains(TITLE), "{screen}");
    let metrics = async || {
        let url = format!("{}/metrics", app.private);
        app.http
            .get(url)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    };
    let counted = "menu_reloads_total{outcome=\"refused\"}";
    assert!(metrics().await.contains(counted));

    // Another fault in another file; then a file that is no text; then files that are good again.
    folder.change("messages.yaml", "{service_code}", "{service_coed}");
    eventually("the other finding", async || {
        refused(app).await.contains("messages.yaml:").then_some(())
    })
    .await;
    fs::write(folder.path().join("languages/en.yaml"), b"\xff\xfe").unwrap();
    eventually("the unreadable file", async || {
        refused(app)
            .await
            .contains("languages/en.yaml")
            .then_some(())
    })
    .await;
    copy(Path::new("menus"), &folder.path());
    eventually("the mended menus", async || {
        let console = console(app).await;
        (console["refused"].is_null() && console["version"] == before["version"]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_exchanged_as_a_whole_is_read_and_watched_on() {
    let temp = TempDir::new().unwrap();
    let (first, second) = (Folder::new(), Folder::new());
    second.retitle(TITLE, "ReserveFlow: sleep well");
    let current = temp.path().join("current");
    symlink(first.path(), &current).unwrap();
    let setting = format!("menus: {}\n", current.display());
    let [app] = &start(&[&setting])[..] else {
        unreachable!()
    };
    let before = console(app).await["version"].clone();
    let next = temp.path().join("next");
    symlink(second.path(), &next).unwrap();
    fs::rename(&next, &current).unwrap();
    let after = next_version(app, &before).await;
    second.retitle("ReserveFlow: sleep well", "ReserveFlow: good night");
    next_version(app, &after).await;
    let screen = app.call(&session_id(), GUEST, "").await;
    assert!(screen.contains("ReserveFlow: good night"), "{screen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_dropped_when_nobody_can_be_in_it_and_its_dialogues_are_as_good_as_lost() {
    let (old, new) = (Folder::new(), Folder::new());
    new.retitle(TITLE, "ReserveFlow: sleep well");
    let [one, two] = &start(&[&old.setting(), &new.setting()])[..] else {
        unreachable!()
    };
    let session = session_id();
    one.call(&session, GUEST, "").await;
    let versions = "select count(*) from menu_version";
    assert_eq!(one.count(versions).await, 2);
    jobs::menus::keep_versions(&two.app).await.unwrap();
    assert_eq!(one.count(versions).await, 2);

    let client = one.pool.get().await.unwrap();
    let long_ago = "update menu_version set used_at = now() - interval '1 day'";
    client.execute(long_ago, &[]).await.unwrap();
    jobs::menus::keep_versions(&two.app).await.unwrap();
    assert_eq!(one.count(versions).await, 1);
    // All its answers are gone through again in the menus of now.
    let screen = two.call(&session, GUEST, "1").await;
    assert!(screen.contains("Where do you sleep?"), "{screen}");
    let screen = two.call(&session, GUEST, "1*00").await;
    assert!(screen.contains("ReserveFlow: sleep well"), "{screen}");

    // Whoever has it in use keeps it, and says so again after it was dropped.
    jobs::menus::keep_versions(&one.app).await.unwrap();
    assert_eq!(one.count(versions).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reads_files_whose_change_nobody_was_told_of() {
    let folder = Folder::new();
    // Nobody watches where the link leads.
    let elsewhere = TempDir::new().unwrap();
    let (link, file) = (
        folder.path().join("booking.yaml"),
        elsewhere.path().join("booking.yaml"),
    );
    fs::rename(&link, &file).unwrap();
    symlink(&file, &link).unwrap();
    let config = format!(
        "{CONFIG}redis: {{ url: \"{}\" }}\n{}",
        stores().redis,
        folder.setting()
    );
    let database = sample_database().await;
    let environment = [("DATABASE_URL", database.as_str()), ("RUST_LOG", "info")];
    let service = Program::serve(elsewhere.path(), &config, &environment).await;
    let source = fs::read_to_string(&file).unwrap();
    let version = async || {
        let (_, body) = service.look("/private/menus").await;
        serde_json::from_str::<Value>(&body).unwrap()["version"].clone()
    };
    let before = version().await;
    fs::write(&file, source.replacen(TITLE, "ReserveFlow: sleep well", 1)).unwrap();
    service.program.send(Signal::SIGHUP);
    eventually("the changed menus", async || {
        (version().await != before).then_some(())
    })
    .await;
    let screen = service.call(&session_id(), GUEST, "").await;
    assert!(screen.contains("ReserveFlow: sleep well"), "{screen}");

    fs::write(&file, "flow: [").unwrap();
    service.program.send(Signal::SIGHUP);
    eventually("the findings in the log", async || {
        let printed = service.program.printed();
        let refusal = printed
            .lines()
            .find(|line| line.contains("changed menus are refused"))?;
        let event: Value = serde_json::from_str(refusal).unwrap();
        assert_eq!(event["level"], "ERROR");
        event["findings"]
            .as_str()?
            .contains("booking.yaml:1:")
            .then_some(())
    })
    .await;
    service.program.send(Signal::SIGTERM);
    assert!(service.program.end().await.status.success());
}
