//! `reserveflow menus …`

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chrono::Local;
use clap::{Args, Subcommand, ValueEnum};
use reserveflow::doors::Doors;
use reserveflow::menu::door::{Door, SEPTETS_USUAL};
use reserveflow::menu::files::{Found, MenuError};
use reserveflow::menu::sample::Sample;
use reserveflow::menu::{Menu, files, graph, rehearse, schema};
use reserveflow::sms::gsm7;

#[derive(Subcommand)]
pub(crate) enum MenusCommand {
    /// Prove that every screen fits, leads somewhere and speaks every language. Prints each finding with its line.
    Check {
        /// The folder of the menu files; the ones inside this program if not given.
        folder: Option<PathBuf>,
        /// Septets of the only screen to prove it for; what every aggregator shows if not given.
        #[arg(long)]
        septets: Option<usize>,
        /// How to say what is found.
        #[arg(long, value_enum, default_value = "picture")]
        format: Findings,
    },
    /// Print the JSON Schema of a flow file, for editors.
    Schema,
    /// Draw the flow.
    Graph {
        #[command(flatten)]
        menu: MenuArgs,
        /// What to draw it as.
        #[arg(long, value_enum, default_value = "mermaid")]
        format: Picture,
    },
    /// Show a screen as the phone shows it.
    Preview {
        /// The screen's name in the flow.
        screen: String,
        #[command(flatten)]
        menu: MenuArgs,
        /// The language.
        #[arg(long, default_value = "en")]
        lang: String,
        /// With the longest values that its variables can hold.
        #[arg(long)]
        longest: bool,
    },
    /// Play dialogue files with made-up rooms and bookings, and compare what they expect.
    Test {
        /// Files, or folders of .txt files.
        #[arg(required = true)]
        scripts: Vec<PathBuf>,
        #[command(flatten)]
        menu: MenuArgs,
        /// Write down what is seen now instead.
        #[arg(long)]
        rewrite: bool,
    },
}

/// Which menu.
#[derive(Args)]
pub(crate) struct MenuArgs {
    /// The folder of the menu files; the ones inside this program if not given.
    #[arg(long = "menus", value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Septets of the screen to show it on.
    #[arg(long, default_value_t = SEPTETS_USUAL)]
    septets: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Findings {
    /// Each with its line, for people.
    Picture,
    /// One object, for editors and other programs.
    Json,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Picture {
    Mermaid,
    Svg,
}

pub(crate) fn run(command: MenusCommand) -> ExitCode {
    let (folder, septets) = match &command {
        MenusCommand::Schema => {
            println!("{:#}", schema::flow());
            return ExitCode::SUCCESS;
        }
        MenusCommand::Check {
            folder, septets, ..
        } => (folder, *septets),
        MenusCommand::Graph { menu, .. }
        | MenusCommand::Preview { menu, .. }
        | MenusCommand::Test { menu, .. } => (&menu.folder, Some(menu.septets)),
    };
    let doors = septets.map_or_else(
        || Doors::new(&[]).kinds(),
        |septets| vec![Door::new("this phone", septets)],
    );
    let read = files::read(folder.as_deref(), &doors).map(|(menu, _)| menu);
    if let MenusCommand::Check {
        format: Findings::Json,
        ..
    } = command
    {
        println!("{}", json(&read));
        return if read.is_ok() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    let menu = match read {
        Ok(menu) => menu,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let door = &doors[0];
    match command {
        MenusCommand::Schema => ExitCode::SUCCESS,
        MenusCommand::Check { .. } => {
            let (name, screens, languages) = (
                &menu.flow.name,
                menu.flow.screens.len(),
                menu.flow.languages.join(", "),
            );
            let sizes: BTreeSet<_> = doors.iter().map(|door| door.septets_max).collect();
            let sizes: Vec<_> = sizes.iter().map(usize::to_string).collect();
            println!(
                "{name}: {screens} screens in {languages}, each proven for {} septets, nothing to find",
                sizes.join(", ")
            );
            ExitCode::SUCCESS
        }
        MenusCommand::Graph {
            format: Picture::Mermaid,
            ..
        } => {
            print!("{}", graph::mermaid(&menu.flow));
            ExitCode::SUCCESS
        }
        MenusCommand::Graph {
            format: Picture::Svg,
            ..
        } => {
            print!("{}", graph::svg(&menu.flow));
            ExitCode::SUCCESS
        }
        MenusCommand::Preview {
            screen,
            lang,
            longest,
            ..
        } => preview(&menu, door, &screen, &lang, longest),
        MenusCommand::Test {
            scripts, rewrite, ..
        } => test(&menu, door, &scripts, rewrite),
    }
}

/// `{"proven": false, "findings": [{"file", "line", "column", "kind", "message", "hint"}]}`. A file that cannot be read has
/// no place.
fn json(read: &Result<Menu, MenuError>) -> serde_json::Value {
    let findings = match read {
        Ok(_) => Vec::new(),
        Err(MenuError::Unreadable { path, why }) => {
            vec![serde_json::json!({ "file": path, "kind": "syntax", "message": why })]
        }
        Err(MenuError::Findings(found)) => found
            .iter()
            .map(|Found { path, finding, .. }| {
                serde_json::json!({
                    "file": path,
                    "line": finding.line,
                    "column": finding.column,
                    "kind": finding.fault.word(),
                    "message": finding.message,
                    "hint": finding.hint,
                })
            })
            .collect(),
    };
    serde_json::json!({ "proven": read.is_ok(), "findings": findings })
}

fn preview(menu: &Menu, door: &Door, screen: &str, language: &str, longest: bool) -> ExitCode {
    if menu.flow.screen(screen).is_none() {
        eprintln!("there is no screen '{screen}'");
        return ExitCode::FAILURE;
    }
    if !menu.flow.languages.iter().any(|known| known == language) {
        eprintln!("the flow does not speak '{language}'");
        return ExitCode::FAILURE;
    }
    let sample = if longest {
        Sample::Longest
    } else {
        Sample::Usual
    };
    let today = Local::now().date_naive();
    let mut state = menu.begin(language);
    state.values = sample.values(&menu.flow, today);
    screen.clone_into(&mut state.screen);
    // Somebody has come here from somewhere: the navigation line shows.
    state.history = vec![menu.flow.screens[menu.flow.start].name.clone(); 2];
    loop {
        let page = menu.page(&state, &sample.given(today), door);
        let septets = gsm7::septets(&page.text).unwrap_or_default();
        let width = page
            .text
            .lines()
            .map(|line| line.chars().count())
            .max()
            .unwrap_or_default();
        let rule = "-".repeat(width + 2);
        println!("+{rule}+");
        for line in page.text.lines() {
            println!("| {line:width$} |");
        }
        println!(
            "+{rule}+ {septets} of {} septets{}",
            door.septets_max,
            if page.ends { ", the end" } else { "" }
        );
        if !page.has_more {
            return ExitCode::SUCCESS;
        }
        state.pages.push(page.next);
    }
}

fn test(menu: &Menu, door: &Door, scripts: &[PathBuf], rewrite: bool) -> ExitCode {
    let (mut passed, mut failed) = (0, 0);
    for path in scripts.iter().flat_map(|path| listed(path)) {
        match rehearse_file(menu, door, &path, rewrite) {
            Ok(()) => passed += 1,
            Err(why) => {
                failed += 1;
                eprintln!("{}: {why}", path.display());
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 && passed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The file itself, or the dialogue files of a folder by name.
fn listed(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(path) else {
        return vec![path.to_owned()];
    };
    let mut files: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "txt"))
        .collect();
    files.sort();
    files
}

fn rehearse_file(menu: &Menu, door: &Door, path: &Path, rewrite: bool) -> Result<(), String> {
    let script = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let played = rehearse::play(menu, &script, door).map_err(|error| error.to_string())?;
    if rewrite {
        return std::fs::write(path, played).map_err(|error| error.to_string());
    }
    let written: Vec<_> = script.lines().collect();
    let seen: Vec<_> = played.lines().collect();
    let first =
        (0..written.len().max(seen.len())).find(|line| written.get(*line) != seen.get(*line));
    match first {
        None => Ok(()),
        Some(line) => {
            let at = |lines: &[&str]| {
                lines
                    .get(line)
                    .map_or("the end", |line| line.trim())
                    .to_owned()
            };
            Err(format!(
                "line {}: expected {:?}, the phone shows {:?}",
                line + 1,
                at(&written),
                at(&seen)
            ))
        }
    }
}
