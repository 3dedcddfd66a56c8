//! Every screen fits behind every door, with the longest values that it can hold.
//!
//! On a screen of the usual size the text stands whole above its first option. On a shorter one it goes on over the next
//! pages: there each word and each option fits a page of its own.

use super::{Check, asked_next};
use crate::menu::door::{Door, Keys, SEPTETS_USUAL};
use crate::menu::finding::{Fault, Finding};
use crate::menu::flow::{Ask, Flow, Kind, List, Target, Texts};
use crate::menu::language::Language;
use crate::menu::source::Word;
use crate::sms::gsm7;

impl Check<'_> {
    pub(super) fn fit(&mut self) {
        let lead = self.longest_notices();
        for (index, screen) in self.flow.screens.iter().enumerate() {
            for (position, code) in self.flow.languages.iter().enumerate() {
                // What a screen lacks is said in another language, and proven there.
                let Some(language) = self.language(code).filter(|_| screen.speaks[position]) else {
                    continue;
                };
                match &screen.kind {
                    Kind::Ask(ask) => self.fit_ask(ask, position, language, lead[index][position]),
                    Kind::End(texts) => {
                        self.fit_end(texts, position, language, lead[index][position])
                    }
                    Kind::Run(_) | Kind::Fork(_) => {}
                }
            }
        }
    }

    fn fit_end(&mut self, texts: &Texts, position: usize, language: &Language, notice: usize) {
        let flow = self.flow;
        let Some((_, word)) = texts.own(position) else {
            return;
        };
        let needed = self.septets(texts, position, language, None);
        let longest = self.word_septets(texts, position, language);
        self.fits(word, needed, "the last screen", |door, say| {
            if is_short(door) {
                broken(notice, longest) + turning(flow, language, door)
            } else {
                notice + say
            }
        });
    }

    fn fit_ask(&mut self, ask: &Ask, position: usize, language: &Language, notice: usize) {
        let flow = self.flow;
        let Some((template, word)) = ask.say.own(position) else {
            return;
        };
        let input = ask.input.as_ref().map(|input| input.of);
        let notice = notice.max(
            language
                .wrong_septets_max(input)
                .max(language.wrong_septets_max(None))
                + 1,
        );
        let say = self.septets(&ask.say, position, language, None);
        let Some(whole) = say.map(|say| notice + say + 1) else {
            return self.fits(word, None, "the text", |_, needed| needed);
        };
        let broken = broken(notice, self.word_septets(&ask.say, position, language));
        if ask.list.is_none() && ask.options.is_empty() {
            let what = "the screen with its longest notice";
            return self.fits(word, Some(whole), what, |door, whole| {
                if is_short(door) {
                    broken + line(flow, language, door, Turning::Between)
                } else {
                    whole + line(flow, language, door, Turning::Never)
                }
            });
        }
        // A notice stands on the first page only, and the text there in full; later pages repeat its first line.
        let title = template.first_line();
        let title = title.septets_max(&|path| self.flow.type_of(path, None), language);
        let title = title.map_or(0, |title| title + 1);
        // What stands in for the key back is named in the navigation line, in place of the word for back.
        let word_back = gsm7::septets(&language.navigation.back).unwrap_or_default();
        let skips = ask.options.iter().map(|choice| {
            let label = self.septets(&choice.label, position, language, None);
            (
                choice.key.as_str(),
                label.unwrap_or_default().saturating_sub(word_back),
            )
        });
        let skips: Vec<_> = skips.collect();
        let page = |door: &Door, entry: usize| {
            let line = |turning| line(flow, language, door, turning);
            let back = keys(flow, door).back;
            let skip = skips.iter().find(|(key, _)| *key == back);
            let skip = skip.map_or(0, |(_, more)| *more);
            let page = if is_short(door) {
                broken.max(entry + 1) + line(Turning::Between)
            } else {
                let first = whole + line(Turning::First);
                let later = title + line(Turning::Between);
                first.max(later) + 1 + entry
            };
            page + skip
        };
        for choice in &ask.options {
            let Some((_, word)) = choice.label.own(position) else {
                continue;
            };
            let entry = self
                .septets(&choice.label, position, language, None)
                .map(|label| choice.key.len() + 1 + label);
            let what = "the screen with this option, a notice and the navigation line";
            self.fits(word, entry, what, page);
        }
        if let Some(list) = &ask.list {
            let Some((_, word)) = list.item.own(position) else {
                return;
            };
            let entry = self
                .septets(&list.item, position, language, Some(list))
                .map(|item| digits(list.at_most) + 1 + item);
            let what = "the screen with one item, a notice and the navigation line";
            self.fits(word, entry, what, page);
        }
    }

    /// The most septets a notice can put above each screen, in each language, its line break included.
    fn longest_notices(&self) -> Vec<Vec<usize>> {
        let flow = self.flow;
        let mut lead = vec![vec![0; flow.languages.len()]; flow.screens.len()];
        for screen in &flow.screens {
            let Kind::Run(run) = &screen.kind else {
                continue;
            };
            for (outcome, texts) in &run.notice {
                let Some((_, Target::Screen(to))) = run.on.iter().find(|(on, _)| on == outcome)
                else {
                    continue;
                };
                let spoken: Vec<_> = (0..flow.languages.len())
                    .map(|position| {
                        let language = self.language(&flow.languages[position])?;
                        self.septets(texts, position, language, None)
                    })
                    .collect();
                let longest = spoken.iter().flatten().max().copied().unwrap_or_default();
                for to in asked_next(flow, *to) {
                    let lacks = flow.screens[to].speaks.contains(&false);
                    for (position, own) in spoken.iter().enumerate() {
                        // Where a line is missing, a notice may stand above a screen of another language.
                        let septets = own.filter(|_| !lacks).unwrap_or(longest);
                        lead[to][position] = lead[to][position].max(septets + 1);
                    }
                }
            }
        }
        lead
    }

    fn septets(
        &self,
        texts: &Texts,
        position: usize,
        language: &Language,
        list: Option<&List>,
    ) -> Option<usize> {
        let (template, _) = texts.own(position)?;
        template.septets_max(
            &|path| self.flow.type_of(path, list.map(|list| list.of)),
            language,
        )
    }

    /// The most septets of a word of the text; nothing where a value in it cannot be shown.
    fn word_septets(&self, texts: &Texts, position: usize, language: &Language) -> usize {
        let template = texts.find(position);
        let word = template.word_septets_max(&|path| self.flow.type_of(path, None), language);
        word.unwrap_or_default()
    }

    /// Behind which door `word` lacks most room, if it does; `needed` are its own septets, `behind` those of its screen.
    fn fits(
        &mut self,
        word: &Word,
        needed: Option<usize>,
        what: &str,
        behind: impl Fn(&Door, usize) -> usize,
    ) {
        // What cannot be shown is found elsewhere.
        let Some(needed) = needed else { return };
        let lacks = |door: &&Door| behind(door, needed).saturating_sub(door.septets_max);
        let Some(door) = self.doors.iter().max_by_key(lacks) else {
            return;
        };
        let lacking = lacks(&door);
        if lacking > 0 {
            let (taken, room, name) = (behind(door, needed), door.septets_max, &door.name);
            let message = format!("{what} can take {taken} septets; {name} shows {room}");
            let hint = format!("shorten it by {lacking}, or cap a value as in {{name:12}}");
            self.findings
                .push(Finding::at(Fault::Fit, word, message).hint(hint));
        }
    }
}

/// What a page of a text that goes on needs for itself and its line break: its longest word, or a notice alone.
fn broken(notice: usize, word: usize) -> usize {
    notice.max(word + 1)
}

/// The keys behind a door.
fn keys<'a>(flow: &'a Flow, door: &'a Door) -> Keys<'a> {
    door.keys.over(flow.keys.over(Keys::default()))
}

/// `98 More 99 Prev`
fn turning(flow: &Flow, language: &Language, door: &Door) -> usize {
    let (words, keys) = (&language.navigation, keys(flow, door));
    let word = |key: &str, word: &str| key.len() + 1 + gsm7::septets(word).unwrap_or(word.len());
    word(keys.more, &words.more) + 1 + word(keys.previous, &words.previous)
}

/// `98 More 99 Prev 0 Back 00 Menu`
fn line(flow: &Flow, language: &Language, door: &Door, turning: Turning) -> usize {
    let (words, keys) = (&language.navigation, keys(flow, door));
    let word = |key: &str, word: &str| key.len() + 1 + gsm7::septets(word).unwrap_or(word.len());
    let back = word(keys.back, &words.back) + 1 + word(keys.home, &words.home);
    let more = word(keys.more, &words.more) + 1;
    let previous = word(keys.previous, &words.previous) + 1;
    match turning {
        Turning::Never => back,
        Turning::First => back + more,
        Turning::Between => back + more + previous,
    }
}

fn is_short(door: &Door) -> bool {
    door.septets_max < SEPTETS_USUAL
}

fn digits(number: usize) -> usize {
    number.to_string().len()
}

/// Which turning keys a navigation line can show.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turning {
    Never,
    First,
    Between,
}
