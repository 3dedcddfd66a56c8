//! From a flow file to a flow that can be stepped: every name resolved, every text read, every fault reported.

use super::action;
use super::check;
use super::door::{Door, DoorKeys, Keys};
use super::finding::{Finding, did_you_mean};
use super::flow::{
    Ask, Choice, Flow, Input, Kind, List, Resume, Run, Screen, Setting, Target, Texts,
};
use super::language::Language;
use super::link::{Called, ONE_KIND, link, own_name};
use super::source::{FlowFile, Map, OptionFile, Say, ScreenFile, Word};
use super::template::Template;
use super::translation::{self, Translation};
use super::value::{LIST_LEN_MAX, Type, Value};

/// The most screens of one flow.
pub const SCREENS_MAX: usize = 500;
/// The word of `goto:` for what the caller was doing when the last session broke off.
pub const DRAFT: &str = "draft";

const LIST_PER_PAGE: u8 = 4;

/// Reads and checks a flow file against the languages it may speak and the doors that it stands behind.
///
/// # Errors
/// Everything that is wrong with it; at least one finding.
pub fn load(source: &str, languages: &[Language], doors: &[Door]) -> Result<Flow, Vec<Finding>> {
    load_whole(source, Vec::new(), &[], languages, doors)
}

/// The same with the flows that it calls, and further languages from files of their own.
///
/// # Errors
/// As [`load`]; each finding names the called flow or the translation that it is in.
pub fn load_whole(
    source: &str,
    mut called: Vec<Called>,
    translations: &[Translation],
    languages: &[Language],
    doors: &[Door],
) -> Result<Flow, Vec<Finding>> {
    let mut main: FlowFile =
        serde_saphyr::from_str(source).map_err(|error| vec![Finding::syntax(&error)])?;
    let mut flows = vec![&mut main];
    flows.extend(called.iter_mut().map(|called| &mut called.0));
    let findings = translation::into_flows(translations, &mut flows);
    if !findings.is_empty() {
        return Err(findings);
    }
    let file = link(&main, &called)?;
    let key = |key: &Option<Word>| key.as_ref().map(|word| word.value.clone());
    let mut loader = Loader {
        file: &file,
        keys: DoorKeys {
            back: key(&file.keys.back),
            home: key(&file.keys.home),
            more: key(&file.keys.more),
            previous: key(&file.keys.previous),
        },
        languages,
        doors,
        findings: Vec::new(),
    };
    let flow = loader.flow();
    let mut findings = loader.findings;
    match flow {
        Some(mut flow) if findings.is_empty() => {
            findings = check::findings(&flow, languages, doors);
            if findings.is_empty() {
                flow.bound_texts();
                Ok(flow)
            } else {
                Err(findings)
            }
        }
        _ => Err(findings),
    }
}

struct Loader<'a> {
    file: &'a FlowFile,
    /// The keys that the flow changes.
    keys: DoorKeys,
    languages: &'a [Language],
    doors: &'a [Door],
    findings: Vec<Finding>,
}

impl Loader<'_> {
    /// A flow that is called twice has each fault but once.
    fn find(&mut self, finding: Finding) {
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    fn flow(&mut self) -> Option<Flow> {
        let file = self.file;
        if file.languages.is_empty() {
            self.find(Finding::at(
                "language",
                &file.flow,
                "the flow speaks no language",
            ));
        }
        for word in &file.languages {
            if self.languages.iter().all(|known| known.code != word.value) {
                self.find(Finding::at(
                    "language",
                    word,
                    format!("there is no file for the language '{}'", word.value),
                ));
            }
        }
        if !self.findings.is_empty() {
            return None;
        }
        if file.screens.0.len() > SCREENS_MAX {
            self.find(Finding::at(
                "limit",
                &file.flow,
                format!("more than {SCREENS_MAX} screens"),
            ));
        }
        self.keys_are_sound();
        let variables = self.variables();
        let screens: Vec<Screen> = file
            .screens
            .0
            .iter()
            .filter_map(|(name, screen)| self.screen(name, screen))
            .collect();
        let start = self.screen_index(&file.start);
        let resume = file.resume.as_ref().and_then(|resume| {
            let screen = self.screen_index(&resume.screen)?;
            resume.needs.iter().for_each(|need| {
                self.variable(need);
            });
            Some(Resume {
                screen,
                needs: resume.needs.iter().map(|need| need.value.clone()).collect(),
            })
        });
        let after_wrong = file
            .after_wrong
            .as_ref()
            .and_then(|after| Some((after.tries.max(1), self.screen_index(&after.goto)?)));
        let dial = file.dial.as_ref().and_then(|dial| self.screen_index(dial));
        let index = screens
            .iter()
            .enumerate()
            .map(|(index, screen)| (screen.name.clone(), index))
            .collect();
        Some(Flow {
            name: file.flow.value.clone(),
            languages: file
                .languages
                .iter()
                .map(|language| language.value.clone())
                .collect(),
            start: start?,
            resume,
            after_wrong,
            dial,
            keys: self.keys.clone(),
            variables,
            index,
            screens,
        })
    }

    fn keys_are_sound(&mut self) {
        let file = &self.file.keys;
        let words = [&file.back, &file.home, &file.more, &file.previous];
        for door in self.doors {
            if let Some(bad) = self.keys_behind(door).unsound() {
                let bad = bad.to_owned();
                let mut words = words.into_iter().flatten();
                let at = words.find(|word| word.value == bad);
                let message = format!("behind {}, '{bad}' cannot lead around", door.name);
                self.find(
                    Finding::at("key", at.unwrap_or(&self.file.flow), message)
                        .hint("0 to 999 or 00, each once"),
                );
            }
        }
    }

    fn keys_behind<'b>(&'b self, door: &'b Door) -> Keys<'b> {
        door.keys.over(self.keys.over(Keys::default()))
    }

    /// The door behind which this key turns a page or leads home.
    fn door_of(&self, key: &str) -> Option<&Door> {
        self.doors.iter().find(|door| {
            let keys = self.keys_behind(door);
            [keys.home, keys.more, keys.previous].contains(&key)
        })
    }

    fn variables(&mut self) -> Vec<(String, Type)> {
        let mut variables = Vec::new();
        for (name, of) in &self.file.variables.0 {
            let fixed = action::VARIABLES
                .iter()
                .find(|(known, _)| *known == name.value);
            let is_same = |expected: &str| {
                let types = Type::parse(expected).zip(Type::parse(&of.value));
                types.is_some_and(|(one, other)| one.fits_in(other) && other.fits_in(one))
            };
            if let Some((_, expected)) = fixed.filter(|(_, expected)| !is_same(expected)) {
                self.find(
                    Finding::at(
                        "type",
                        of,
                        format!("actions know '{}' as '{expected}'", name.value),
                    )
                    .hint(format!("write '{expected}'")),
                );
            }
            if action::GIVEN.iter().any(|(given, _)| *given == name.value) {
                self.find(Finding::at(
                    "variable",
                    name,
                    format!("'{}' is given and cannot be declared", name.value),
                ));
            }
            match Type::parse(&of.value) {
                Some(of) => variables.push((name.value.clone(), of)),
                None => self.find(Finding::at("type", of, format!("'{}' is not a type", of.value)).hint(
                    "one of: text N, count A..B, nights, guests, date, money, name, place_name, msisdn, code, pin, place, offer, booking, list of …",
                )),
            }
        }
        variables
    }

    fn screen(&mut self, name: &Word, screen: &ScreenFile) -> Option<Screen> {
        if name.value == DRAFT {
            self.find(Finding::at(
                "screen",
                name,
                format!("'{DRAFT}' is where the last session broke off and cannot be a screen"),
            ));
        }
        for (key, to) in screen.strange_keys() {
            let message = format!("'{key}' belongs to a screen with '{to}'");
            self.find(Finding::at("screen", name, message));
        }
        let kind = match (&screen.say, &screen.run, &screen.end) {
            (Some(say), None, None) => Kind::Ask(self.ask(name, screen, say)?),
            (None, Some(run), None) => Kind::Run(self.run(screen, run)?),
            (None, None, Some(end)) => Kind::End(self.texts(name, end)?),
            _ => {
                self.find(Finding::at("screen", name, ONE_KIND));
                return None;
            }
        };
        Some(Screen {
            name: name.value.clone(),
            kind,
            at: name.clone(),
        })
    }

    fn ask(&mut self, name: &Word, screen: &ScreenFile, say: &Say) -> Option<Ask> {
        let say = self.texts(name, say);
        let options: Vec<_> = screen
            .options
            .0
            .iter()
            .filter_map(|(key, option)| self.choice(key, option))
            .collect();
        let to = screen.goto.as_ref().and_then(|goto| self.target(goto));
        if screen.goto.is_none() && (screen.input.is_some() || screen.list.is_some()) {
            self.find(Finding::at(
                "target",
                name,
                "'input' and 'list' need a 'goto'",
            ));
        }
        if screen.goto.is_some() && screen.input.is_none() && screen.list.is_none() {
            self.find(Finding::at(
                "screen",
                name,
                "'goto' belongs to a screen with 'input' or 'list'",
            ));
        }
        let both = screen.input.is_some() && screen.list.is_some();
        if both != screen.typed_goto.is_some() {
            self.find(Finding::at(
                "screen",
                name,
                "'typed_goto' says where typed words lead on a screen with 'input' and 'list'",
            ));
        }
        let typed_to = match &screen.typed_goto {
            Some(goto) => self.target(goto),
            None => to,
        };
        let input = screen
            .input
            .as_ref()
            .and_then(|input| self.input(name, input, &screen.options, typed_to?));
        let list = screen
            .list
            .as_ref()
            .and_then(|list| self.list(name, screen, list, to?));
        if let Some(list) = &list {
            self.numbers_are_free(screen, list.at_most);
            let taken = (1..=list.at_most).find_map(|number| {
                let door = self.door_of(&number.to_string())?;
                Some((number, door.name.clone()))
            });
            if let Some((number, door)) = taken {
                let message =
                    format!("'{number}' leads around behind {door} and is a number of the list");
                self.find(
                    Finding::at("key", &list.at, message)
                        .hint(format!("write 'at_most: {}' beside 'list'", number - 1)),
                );
            }
        }
        if screen.options.0.is_empty() && screen.input.is_none() && screen.list.is_none() {
            self.find(
                Finding::at(
                    "dead end",
                    name,
                    format!("no answer leads out of '{}'", own_name(&name.value)),
                )
                .hint("give it options, an input, or make it an 'end'"),
            );
        }
        Some(Ask {
            say: say?,
            options,
            input,
            list,
        })
    }

    /// An option's key would take the number of an item away from it.
    fn numbers_are_free(&mut self, screen: &ScreenFile, at_most: usize) {
        for (key, _) in &screen.options.0 {
            if let Ok(number @ 1..) = key.value.parse::<usize>()
                && number <= at_most
                && !key.value.starts_with('0')
            {
                self.find(
                    Finding::at(
                        "key",
                        key,
                        format!("'{number}' is also a number of the list, which has up to {at_most} items"),
                    )
                    .hint(format!(
                        "take a key above {at_most}, or write 'at_most: {}' beside 'list'",
                        number - 1
                    )),
                );
            }
        }
    }

    fn choice(&mut self, key: &Word, option: &OptionFile) -> Option<Choice> {
        let number = key.value.parse::<u16>();
        let plain = number.is_ok_and(|number| number < 1000 && key.value == number.to_string());
        let taken = self.door_of(&key.value).map(|door| door.name.clone());
        if let Some(door) = taken {
            let message = format!("'{}' leads around behind {door}", key.value);
            self.find(Finding::at("key", key, message).hint("take another"));
        } else if !plain {
            let message = format!("'{}' cannot be an option's key", key.value);
            self.find(Finding::at("key", key, message).hint("0 to 999"));
        }
        let mut set = Vec::new();
        for (name, word) in &option.set.0 {
            let Some(of) = self.variable(name) else {
                continue;
            };
            match self.setting(word, of) {
                Some(setting) => set.push((name.value.clone(), setting)),
                None => self.find(Finding::at(
                    "type",
                    word,
                    format!("'{}' is not a {}", word.value, of.word()),
                )),
            }
        }
        if let Some(language) = &option.language
            && !self
                .file
                .languages
                .iter()
                .any(|known| known.value == language.value)
        {
            self.find(Finding::at(
                "language",
                language,
                format!("the flow does not speak '{}'", language.value),
            ));
        }
        let label = self.texts(key, &option.say);
        let to = self.target(&option.goto);
        Some(Choice {
            key: key.value.clone(),
            label: label?,
            to: to?,
            set,
            language: option.language.as_ref().map(|word| word.value.clone()),
            at: key.clone(),
        })
    }

    fn setting(&self, word: &Word, of: Type) -> Option<Setting> {
        if let (Type::Count(low, high), Ok(count)) = (of, word.value.parse::<i64>()) {
            return (low..=high)
                .contains(&count)
                .then_some(Setting::Value(Value::Count(count)));
        }
        let other = self.type_of(&word.value)?;
        other.fits_in(of).then(|| Setting::Copy(word.value.clone()))
    }

    /// A number that leads around cannot be answered with.
    fn numbers_can_be_typed(
        &mut self,
        of: &Word,
        (low, high): (i64, i64),
        options: &Map<OptionFile>,
    ) {
        let taken = self.doors.iter().find_map(|door| {
            let keys = self.keys_behind(door);
            let mut keys = [keys.back, keys.more, keys.previous].into_iter();
            let key = keys.find(|key| {
                let number = key.parse::<i64>();
                number.is_ok_and(|number| (low..=high).contains(&number))
                    && options.find(key).is_none()
            });
            key.map(|key| (key.to_owned(), door.name.clone()))
        });
        if let Some((key, door)) = taken {
            let message = format!("'{key}' leads around behind {door} and can be typed here");
            self.find(
                Finding::at("key", of, message)
                    .hint("give that another key under 'keys', or ask for other numbers"),
            );
        }
    }

    fn input(
        &mut self,
        name: &Word,
        input: &Map<Word>,
        options: &Map<OptionFile>,
        to: Target,
    ) -> Option<Input> {
        let [(variable, of)] = &input.0[..] else {
            self.find(Finding::at(
                "screen",
                name,
                "'input' binds exactly one variable",
            ));
            return None;
        };
        let declared = self.variable(variable)?;
        let read = Type::parse(&of.value).filter(|read| read.fits_in(declared));
        if read.is_none() {
            self.find(Finding::at(
                "type",
                of,
                format!("'{}' is declared as '{}'", variable.value, declared.word()),
            ));
        }
        if !declared.can_be_typed() {
            self.find(Finding::at(
                "type",
                of,
                format!("nobody can type a {}", declared.word()),
            ));
        }
        if let Some(range) = read.and_then(Type::range) {
            self.numbers_can_be_typed(of, range, options);
        }
        Some(Input {
            variable: variable.value.clone(),
            of: read?,
            to,
        })
    }

    fn list(&mut self, name: &Word, screen: &ScreenFile, list: &Word, to: Target) -> Option<List> {
        let of = match self.variable(list)? {
            Type::List(of) => of,
            other => {
                self.find(Finding::at(
                    "type",
                    list,
                    format!("'{}' is a {}, not a list", list.value, other.word()),
                ));
                return None;
            }
        };
        let (Some(item), Some(pick)) = (&screen.item, &screen.pick) else {
            self.find(Finding::at(
                "screen",
                name,
                "a 'list' needs 'item' and 'pick'",
            ));
            return None;
        };
        if self.variable(pick)? != Type::Record(of) {
            self.find(Finding::at(
                "type",
                pick,
                format!("'{}' cannot hold a {}", pick.value, of.name),
            ));
        }
        let item = self.texts(name, item)?;
        let per_page = usize::from(
            screen
                .per_page
                .as_ref()
                .map_or(LIST_PER_PAGE, |per_page| per_page.value),
        );
        let at_most = screen
            .at_most
            .as_ref()
            .map_or(LIST_LEN_MAX, |at_most| at_most.value);
        let limits = [
            (
                "per_page",
                per_page,
                screen.per_page.as_ref().map(|word| word.defined),
            ),
            (
                "at_most",
                at_most,
                screen.at_most.as_ref().map(|word| word.defined),
            ),
        ];
        for (key, number, defined) in limits {
            if let Some(defined) = defined
                && !(1..=LIST_LEN_MAX).contains(&number)
            {
                let message = format!("'{key}' is 1 to {LIST_LEN_MAX}");
                let finding = Finding::at_location("limit", defined, message);
                self.find(match &name.file {
                    Some(file) => finding.in_file(file),
                    None => finding,
                });
            }
        }
        Some(List {
            variable: list.value.clone(),
            of,
            item,
            pick: pick.value.clone(),
            per_page: per_page.max(1),
            at_most,
            to,
            at: list.clone(),
        })
    }

    fn run(&mut self, screen: &ScreenFile, run: &Word) -> Option<Run> {
        let Some(action) = action::find(&run.value) else {
            let hint = did_you_mean(&run.value, action::ACTIONS.iter().map(|action| action.name));
            let finding = Finding::at("action", run, format!("there is no action '{}'", run.value));
            self.find(match hint {
                Some(hint) => finding.hint(hint),
                None => finding,
            });
            return None;
        };
        let mut on = Vec::new();
        for (outcome, target) in &screen.on.0 {
            if action.outcome(&outcome.value).is_none() {
                self.find(Finding::at(
                    "outcome",
                    outcome,
                    format!("'{}' never ends in '{}'", action.name, outcome.value),
                ));
            }
            if target.value == DRAFT {
                self.find(Finding::at(
                    "target",
                    target,
                    format!("only an option can lead to '{DRAFT}'"),
                ));
            }
            on.extend(
                self.target(target)
                    .map(|target| (outcome.value.clone(), target)),
            );
        }
        for outcome in action.outcomes {
            if screen.on.find(outcome.name).is_none() {
                self.find(
                    Finding::at(
                        "outcome",
                        run,
                        format!(
                            "the outcome '{}' of '{}' is not handled",
                            outcome.name, action.name
                        ),
                    )
                    .hint(format!("add '{}: …' under 'on'", outcome.name)),
                );
            }
        }
        let mut notice = Vec::new();
        for (outcome, say) in &screen.notice.0 {
            if screen.on.find(&outcome.value).is_none() {
                self.find(Finding::at(
                    "outcome",
                    outcome,
                    format!("a notice for '{}', which is not handled", outcome.value),
                ));
            }
            notice.extend(
                self.texts(outcome, say)
                    .map(|texts| (outcome.value.clone(), texts)),
            );
        }
        Some(Run {
            action,
            on,
            notice,
            at: run.clone(),
        })
    }

    fn texts(&mut self, at: &Word, say: &Say) -> Option<Texts> {
        let mut texts = Vec::new();
        for language in &self.file.languages {
            match say.find(&language.value) {
                None => self.find(
                    Finding::at("language", at, format!("no text in '{}'", language.value)).hint(
                        format!("add '{}: …' beside the other languages", language.value),
                    ),
                ),
                Some(word) => match Template::parse(&word.value) {
                    Ok(template) => {
                        if template.is_blank() {
                            self.find(Finding::at("text", word, "there is nothing to read here"));
                        }
                        texts.push((template, word.clone()));
                    }
                    Err(error) => self.find(Finding::at("text", word, error.0)),
                },
            }
        }
        for (language, _) in &say.0 {
            if !self
                .file
                .languages
                .iter()
                .any(|known| known.value == language.value)
            {
                self.find(
                    Finding::at(
                        "language",
                        language,
                        format!("the flow does not speak '{}'", language.value),
                    )
                    .hint("add it to 'languages', or drop this line"),
                );
            }
        }
        (texts.len() == self.file.languages.len() && !texts.is_empty()).then_some(Texts(texts))
    }

    fn target(&mut self, word: &Word) -> Option<Target> {
        if word.value == DRAFT {
            if self.file.resume.is_none() {
                self.find(Finding::at(
                    "target",
                    word,
                    "'draft' needs 'resume' in the flow",
                ));
            }
            return Some(Target::Draft);
        }
        self.screen_index(word).map(Target::Screen)
    }

    fn screen_index(&mut self, word: &Word) -> Option<usize> {
        let index = self
            .file
            .screens
            .0
            .iter()
            .position(|(name, _)| name.value == word.value);
        if index.is_none() {
            let finding = Finding::at(
                "target",
                word,
                format!("there is no screen '{}'", own_name(&word.value)),
            );
            let known = self.file.screens.0.iter();
            let known = known.map(|(name, _)| own_name(&name.value));
            let hint = did_you_mean(own_name(&word.value), known);
            self.find(match hint {
                Some(hint) => finding.hint(hint),
                None => finding,
            });
        }
        index
    }

    fn variable(&mut self, word: &Word) -> Option<Type> {
        let declared = self
            .file
            .variables
            .find(&word.value)
            .and_then(|of| Type::parse(&of.value));
        if self.file.variables.find(&word.value).is_none() {
            let finding = Finding::at(
                "variable",
                word,
                format!("'{}' is not declared", word.value),
            );
            let hint = did_you_mean(
                &word.value,
                self.file
                    .variables
                    .0
                    .iter()
                    .map(|(name, _)| name.value.as_str()),
            );
            self.find(
                finding.hint(hint.unwrap_or_else(|| "declare it under 'variables'".to_owned())),
            );
        }
        declared
    }

    fn type_of(&self, name: &str) -> Option<Type> {
        let given = action::GIVEN
            .iter()
            .find(|(given, _)| *given == name)
            .map(|(_, of)| *of);
        let declared = self.file.variables.find(name).map(|of| of.value.as_str());
        Type::parse(given.or(declared)?)
    }
}
