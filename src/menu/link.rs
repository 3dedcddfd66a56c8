//! Calls put in place: a screen that calls another flow gives way to that flow's screens, named `screen/theirs`. What
//! follows, from the checks to the pages, knows one flow only, and each call is proven by itself.

use std::sync::Arc;

use super::finding::{Fault, Finding, did_you_mean};
use super::load::SCREENS_MAX;
use super::source::{FlowFile, Placed, ScreenFile, Word};

/// The word of `goto:` that leads back to the flow that called; perhaps with a word more, `return found`.
pub const RETURN: &str = "return";
/// What a screen has to be.
pub(super) const ONE_KIND: &str =
    "a screen has exactly one of 'say', 'run', 'call', 'if' and 'end'";
/// The most flows that call one another in a row.
const CALLS_DEEP_MAX: usize = 4;

/// A flow that others call.
#[derive(Debug)]
pub struct Called(pub(super) FlowFile);

impl Called {
    /// Reads the file `name`, as in `host.yaml`.
    ///
    /// # Errors
    /// What cannot be read, or a name that is not that of its flow.
    pub fn parse(name: &str, source: &str) -> Result<Called, Finding> {
        let file: Arc<str> = name.into();
        let mut flow: FlowFile = serde_saphyr::from_str(source)
            .map_err(|error| Finding::syntax(&error).in_file(&file))?;
        flow.place(&file);
        let stem = name.strip_suffix(".yaml").unwrap_or(name);
        if flow.flow.value != stem {
            let message = format!("the flow '{}' stands in {name}", flow.flow.value);
            return Err(Finding::at(Fault::Call, &flow.flow, message).hint(format!(
                "name the file {}.yaml, or change this line",
                flow.flow.value
            )));
        }
        Ok(Called(flow))
    }
}

/// `main` with the screens of every flow that it calls, and of those that they call.
pub(super) fn link(main: &FlowFile, called: &[Called]) -> Result<FlowFile, Vec<Finding>> {
    let mut link = Link {
        called,
        screens: Vec::new(),
        used: vec![false; called.len()],
        findings: Vec::new(),
    };
    for flow in called {
        link.fits(main, flow);
    }
    link.expand(main, &Place::default());
    for (index, flow) in called.iter().enumerate() {
        if !link.used[index] {
            let message = format!("no flow calls '{}'", flow.0.flow.value);
            link.find(
                Finding::at(Fault::Unreachable, &flow.0.flow, message)
                    .hint("remove it, or call it"),
            );
        }
    }
    let mut whole = main.clone();
    for entry in whole.entries_mut() {
        *entry = link.led(main, &Place::default(), entry);
    }
    if !link.findings.is_empty() {
        return Err(link.findings);
    }
    whole.screens.0 = link.screens;
    for flow in called {
        for (name, of) in &flow.0.variables.0 {
            if whole.variables.find(&name.value).is_none() {
                whole.variables.0.push((name.clone(), of.clone()));
            }
        }
    }
    Ok(whole)
}

/// Where the screens of a flow are put.
#[derive(Default)]
struct Place<'a> {
    /// `for_lodges/`; nothing for the main flow.
    prefix: String,
    /// The flows that are being called, the outermost first.
    calls: Vec<&'a str>,
    /// Where each way back leads: `""` is a bare `return`. `None` where nobody called.
    back: Option<Vec<(String, Word)>>,
}

struct Link<'a> {
    called: &'a [Called],
    screens: Vec<(Word, ScreenFile)>,
    used: Vec<bool>,
    findings: Vec<Finding>,
}

impl<'a> Link<'a> {
    fn find(&mut self, finding: Finding) {
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// What only the whole can have, or all flows must have alike.
    fn fits(&mut self, main: &FlowFile, called: &Called) {
        let flow = &called.0;
        let name = &flow.flow.value;
        if flow.screens.find(&flow.start.value).is_none() {
            let message = format!("there is no screen '{}'", flow.start.value);
            self.find(Finding::at(Fault::Target, &flow.start, message));
        }
        for word in flow.clone().entries_mut().skip(1) {
            let message = format!(
                "only '{}', which is dialled, can say where callers are taken",
                main.flow.value
            );
            self.find(Finding::at(Fault::Call, word, message).hint("take it out"));
        }
        for language in &main.languages {
            if flow
                .languages
                .iter()
                .all(|known| known.value != language.value)
            {
                let message = format!(
                    "'{name}' does not speak '{}', which '{}' does",
                    language.value, main.flow.value
                );
                self.find(Finding::at(Fault::Language, &flow.flow, message).hint(
                    "give it each text in that language, beside the others or in its translation",
                ));
            }
        }
        for language in &flow.languages {
            if main
                .languages
                .iter()
                .all(|known| known.value != language.value)
            {
                let message = format!("'{}' does not speak '{}'", main.flow.value, language.value);
                self.find(Finding::at(Fault::Language, language, message));
            }
        }
        for (variable, of) in &flow.variables.0 {
            let others = self.called.iter().map(|other| &other.0);
            let other = std::iter::once(main).chain(others).find_map(|other| {
                let declared = other.variables.find(&variable.value)?;
                (declared.value != of.value).then_some((&other.flow.value, &declared.value))
            });
            if let Some((other, declared)) = other {
                let message = format!(
                    "'{}' is declared as '{declared}' in '{other}': all flows share their variables",
                    variable.value
                );
                self.find(Finding::at(Fault::Type, of, message));
            }
        }
    }

    fn expand(&mut self, file: &FlowFile, place: &Place<'a>) {
        for (name, screen) in &file.screens.0 {
            if self.screens.len() > SCREENS_MAX {
                return;
            }
            self.named_well(name);
            match &screen.call {
                Some(call) => self.call(file, place, name, screen, call),
                None => {
                    let mut screen = screen.clone();
                    for target in screen.targets_mut() {
                        *target = self.led(file, place, target);
                    }
                    let value = format!("{}{}", place.prefix, name.value);
                    self.screens.push((
                        Word {
                            value,
                            ..name.clone()
                        },
                        screen,
                    ));
                }
            }
        }
    }

    fn named_well(&mut self, name: &Word) {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !name.value.chars().all(plain) || name.value == RETURN {
            let message = format!("'{}' cannot be the name of a screen", name.value);
            self.find(
                Finding::at(Fault::Screen, name, message).hint("small letters, digits and _"),
            );
        }
    }

    fn call(
        &mut self,
        file: &FlowFile,
        place: &Place<'a>,
        name: &Word,
        screen: &ScreenFile,
        call: &Word,
    ) {
        let Some(index) = self
            .called
            .iter()
            .position(|called| called.0.flow.value == call.value)
        else {
            let finding = Finding::at(
                Fault::Call,
                call,
                format!("there is no flow '{}'", call.value),
            );
            let known = self
                .called
                .iter()
                .map(|called| called.0.flow.value.as_str());
            let hint = did_you_mean(&call.value, known);
            return self.find(
                finding.hint(hint.unwrap_or_else(|| format!("write it in {}.yaml", call.value))),
            );
        };
        let flow = &self.called[index].0;
        if place.calls.contains(&flow.flow.value.as_str()) {
            let message = format!("'{}' calls itself, perhaps by way of others", call.value);
            return self.find(Finding::at(Fault::Loop, call, message));
        }
        if place.calls.len() == CALLS_DEEP_MAX {
            let message = format!("more than {CALLS_DEEP_MAX} flows call one another in a row");
            return self.find(Finding::at(Fault::Limit, call, message));
        }
        let others = [&screen.run, &screen.r#if];
        if screen.say.is_some() || screen.end.is_some() || others.into_iter().any(Option::is_some) {
            return self.find(Finding::at(Fault::Screen, name, ONE_KIND));
        }
        for (key, to) in screen.strange_keys() {
            let message = format!("'{key}' belongs to a screen with '{to}'");
            self.find(Finding::at(Fault::Screen, name, message));
        }
        self.used[index] = true;
        let mut back = Vec::new();
        back.extend(
            screen
                .goto
                .iter()
                .map(|goto| (String::new(), self.led(file, place, goto))),
        );
        for (way, target) in &screen.on.0 {
            back.push((way.value.clone(), self.led(file, place, target)));
        }
        self.comes_back(screen, call, flow);
        let mut calls = place.calls.clone();
        calls.push(&flow.flow.value);
        let prefix = format!("{}{}/", place.prefix, name.value);
        self.expand(
            flow,
            &Place {
                prefix,
                calls,
                back: Some(back),
            },
        );
    }

    /// Every way back is awaited, and every way awaited comes.
    fn comes_back(&mut self, screen: &ScreenFile, call: &Word, flow: &FlowFile) {
        let targets = flow
            .screens
            .0
            .iter()
            .flat_map(|(_, screen)| screen.targets());
        let ways: Vec<_> = targets.filter_map(way_back).collect();
        for way in &ways {
            let awaited = if way.is_empty() {
                screen.goto.is_some()
            } else {
                screen.on.find(way).is_some()
            };
            if !awaited {
                let (message, hint) = match *way {
                    "" => (
                        format!(
                            "'{}' can return, and nothing says where that leads",
                            call.value
                        ),
                        "add 'goto: …'".to_owned(),
                    ),
                    way => (
                        format!("'{}' can return '{way}', which is not handled", call.value),
                        format!("add '{way}: …' under 'on'"),
                    ),
                };
                self.find(Finding::at(Fault::Outcome, call, message).hint(hint));
            }
        }
        let gotos = screen.goto.iter().map(|word| ("", word));
        for (way, word) in gotos.chain(screen.on.0.iter().map(|(way, _)| (way.value.as_str(), way)))
        {
            if !ways.contains(&way) {
                let joint = if way.is_empty() { "" } else { " " };
                let message = format!("'{}' never leads to '{RETURN}{joint}{way}'", call.value);
                self.find(Finding::at(Fault::Outcome, word, message));
            }
        }
    }

    /// Where a word of `file` leads, by its name in the whole.
    fn led(&mut self, file: &FlowFile, place: &Place<'_>, target: &Word) -> Word {
        if let Some(way) = way_back(target) {
            let back = place.back.as_ref();
            if back.is_none() {
                self.find(Finding::at(
                    Fault::Call,
                    target,
                    format!("nobody calls '{}': there is no way back", file.flow.value),
                ));
            }
            let led = back.and_then(|back| back.iter().find(|(known, _)| known == way));
            return led.map_or_else(|| target.clone(), |(_, led)| led.clone());
        }
        let mut value = target.value.clone();
        if value == super::load::DRAFT {
            return target.clone();
        }
        let mut flow = file;
        // A call begins with the first screen of what it calls.
        for _ in 0..CALLS_DEEP_MAX {
            let local = own_name(&value);
            let Some(call) = flow
                .screens
                .find(local)
                .and_then(|screen| screen.call.as_ref())
            else {
                break;
            };
            let Some(called) = self
                .called
                .iter()
                .find(|called| called.0.flow.value == call.value)
            else {
                break;
            };
            flow = &called.0;
            value = format!("{value}/{}", flow.start.value);
        }
        Word {
            value: format!("{}{value}", place.prefix),
            ..target.clone()
        }
    }
}

/// The word behind `return`, empty for a bare one.
fn way_back(target: &Word) -> Option<&str> {
    let way = target.value.strip_prefix(RETURN)?;
    if way.is_empty() {
        Some(way)
    } else {
        way.strip_prefix(' ').map(str::trim)
    }
}

/// The name of a screen in its own file.
pub(super) fn own_name(screen: &str) -> &str {
    screen.rsplit('/').next().unwrap_or(screen)
}
