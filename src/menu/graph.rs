//! A picture of a flow: screens and what leads from one to the next, as Mermaid text or as SVG.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write;

use super::flow::{Ask, Flow, Kind, Target};

/// Pixels of a box and of the room around it.
const BOX: (usize, usize) = (190, 44);
const GAP: (usize, usize) = (110, 18);
/// The longest word on an arrow, in characters.
const WORD_CHARS_MAX: usize = 24;

/// One way from a screen to another, and what leads there.
struct Arrow {
    from: usize,
    to: usize,
    word: String,
}

/// A Mermaid flowchart.
pub fn mermaid(flow: &Flow) -> String {
    let mut text = String::from("flowchart LR\n");
    for screen in &flow.screens {
        let (node, name) = (node(&screen.name), &screen.name);
        let shape = match &screen.kind {
            Kind::Ask(ask) if commits(flow, ask) => format!("{node}[[{name}]]"),
            Kind::Ask(_) => format!("{node}[{name}]"),
            Kind::Run(_) => format!("{node}{{{{{name}}}}}"),
            Kind::Fork(_) => format!("{node}{{{name}}}"),
            Kind::End(_) => format!("{node}([{name}])"),
        };
        writeln!(text, "    {shape}").ok();
    }
    for arrow in arrows(flow) {
        let [from, to] = [arrow.from, arrow.to].map(|screen| node(&flow.screens[screen].name));
        writeln!(
            text,
            "    {from} -->|\"{}\"| {to}",
            arrow.word.replace('"', "'")
        )
        .ok();
    }
    text
}

/// Mermaid takes the names of nodes for shapes where they have a slash.
fn node(screen: &str) -> String {
    screen.replace('/', ".")
}

/// The same as a picture: columns by the number of answers from the start.
pub fn svg(flow: &Flow) -> String {
    let places = places(flow);
    let columns = places
        .values()
        .map(|(column, _)| column + 1)
        .max()
        .unwrap_or(1);
    let rows = places.values().map(|(_, row)| row + 1).max().unwrap_or(1);
    let (width, height) = (
        columns * (BOX.0 + GAP.0) + GAP.0,
        rows * (BOX.1 + GAP.1) + GAP.1,
    );
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <defs><marker id=\"a\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0 8 4 0 8z\" fill=\"#667\"/></marker></defs>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    let corner = |screen: usize| {
        let (column, row) = places[&screen];
        (
            GAP.0 + column * (BOX.0 + GAP.0),
            GAP.1 + row * (BOX.1 + GAP.1),
        )
    };
    for arrow in arrows(flow) {
        let ((x1, y1), (x2, y2)) = (corner(arrow.from), corner(arrow.to));
        let (x1, y1, y2) = (x1 + BOX.0, y1 + BOX.1 / 2, y2 + BOX.1 / 2);
        let bend = GAP.0 / 2;
        writeln!(text, "<path d=\"M{x1} {y1}C{} {y1} {} {y2} {x2} {y2}\" fill=\"none\" stroke=\"#99a\" marker-end=\"url(#a)\"><title>{}</title></path>", x1 + bend, x2.saturating_sub(bend), escaped(&arrow.word)).ok();
    }
    for (index, screen) in flow.screens.iter().enumerate() {
        let (x, y) = corner(index);
        let (fill, radius) = match &screen.kind {
            Kind::Ask(ask) if commits(flow, ask) => ("#ffe3c2", 4),
            Kind::Ask(_) => ("#e3eefc", 4),
            Kind::Run(_) | Kind::Fork(_) => ("#eee8fa", 20),
            Kind::End(_) => ("#dff3e1", 20),
        };
        writeln!(
            text,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"{radius}\" fill=\"{fill}\" stroke=\"#445\"/><text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            BOX.0,
            BOX.1,
            x + BOX.0 / 2,
            y + BOX.1 / 2 + 4,
            escaped(&screen.name)
        )
        .ok();
    }
    text.push_str("</svg>\n");
    text
}

/// Column and row of each screen: the column is the fewest steps from the start.
fn places(flow: &Flow) -> BTreeMap<usize, (usize, usize)> {
    let arrows = arrows(flow);
    let mut steps = BTreeMap::new();
    let mut next: VecDeque<_> = [(flow.start, 0)].into();
    next.extend(flow.resume.as_ref().map(|resume| (resume.screen, 0)));
    next.extend(flow.after_wrong.map(|(_, screen)| (screen, 0)));
    next.extend(flow.dial.map(|screen| (screen, 0)));
    while let Some((screen, column)) = next.pop_front() {
        if steps.contains_key(&screen) {
            continue;
        }
        steps.insert(screen, column);
        next.extend(
            arrows
                .iter()
                .filter(|arrow| arrow.from == screen)
                .map(|arrow| (arrow.to, column + 1)),
        );
    }
    let mut rows: BTreeMap<usize, usize> = BTreeMap::new();
    (0..flow.screens.len())
        .map(|screen| {
            let column = steps.get(&screen).copied().unwrap_or_default();
            let row = rows.entry(column).or_default();
            *row += 1;
            (screen, (column, *row - 1))
        })
        .collect()
}

fn arrows(flow: &Flow) -> Vec<Arrow> {
    let mut arrows = Vec::new();
    let mut seen = BTreeSet::new();
    for (from, screen) in flow.screens.iter().enumerate() {
        let mut arrow = |target: &Target, word: &str| {
            if let Target::Screen(to) = target
                && seen.insert((from, *to, word.to_owned()))
            {
                arrows.push(Arrow {
                    from,
                    to: *to,
                    word: word.chars().take(WORD_CHARS_MAX).collect(),
                });
            }
        };
        match &screen.kind {
            Kind::Ask(ask) => {
                for choice in &ask.options {
                    arrow(
                        &choice.to,
                        &format!("{} {}", choice.key, choice.label.find(0).opening()),
                    );
                }
                if let Some(input) = &ask.input {
                    arrow(&input.to, &input.variable);
                }
                if let Some(list) = &ask.list {
                    arrow(&list.to, &list.pick);
                }
            }
            Kind::Run(run) => run
                .on
                .iter()
                .for_each(|(outcome, target)| arrow(target, outcome)),
            Kind::Fork(fork) => {
                arrow(&fork.then, &fork.condition.at.value);
                arrow(&fork.otherwise, "else");
            }
            Kind::End(_) => {}
        }
    }
    arrows
}

/// Whether an answer to it changes something outside the dialogue.
fn commits(flow: &Flow, ask: &Ask) -> bool {
    ask.options.iter().any(|choice| flow.commits(choice.to))
        || ask
            .input
            .as_ref()
            .is_some_and(|input| flow.commits(input.to))
        || ask.list.as_ref().is_some_and(|list| flow.commits(list.to))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
