//! XML of aggregators: elements and their text. No document type, no entities but the five of XML itself, bounded in
//! depth and number; length is bounded as that of every callback.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};

use super::fields::Fields;
use super::{BadCall, Inbound};

/// How deep elements may lie in each other; real documents have 4.
const DEPTH_MAX: usize = 8;
/// The most tags and pieces of text of a document; real ones have some 80.
const PARTS_MAX: usize = 512;

/// An element with its text. Attributes, comments and namespace prefixes are passed over.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    /// Without prefix.
    pub(super) name: String,
    /// All text directly inside; unreadable characters have become U+FFFD.
    pub(super) text: String,
    /// In order.
    pub(super) children: Vec<Element>,
}

impl Element {
    /// Reads a call that comes by POST, whatever its content type says.
    ///
    /// # Errors
    /// [`BadCall`] for another method, path, or document.
    pub(super) fn post(inbound: &Inbound<'_>, root: &str) -> Result<Element, BadCall> {
        if inbound.method != "POST" {
            return Err(BadCall::Method);
        }
        if !inbound.path.is_empty() {
            return Err(BadCall::Path);
        }
        Element::read(inbound.body, root)
    }

    /// Reads a document whose outermost element has this name.
    ///
    /// # Errors
    /// [`BadCall::InvalidBody`].
    pub(super) fn read(body: &[u8], root: &str) -> Result<Element, BadCall> {
        let document = String::from_utf8_lossy(body);
        let outermost = parse(document.trim_start_matches('\u{feff}'))?;
        if outermost.name != root {
            return Err(BadCall::InvalidBody("another document"));
        }
        Ok(outermost)
    }

    /// The first child of this name.
    pub(super) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The children by their names, blanks around their texts trimmed.
    pub(super) fn fields(&self) -> Fields<'_> {
        let values = self
            .children
            .iter()
            .map(|child| (child.name.as_str().into(), child.text.trim().into()));
        Fields::of(values.collect())
    }
}

fn parse(document: &str) -> Result<Element, BadCall> {
    let mut reader = Reader::from_str(document);
    // The first stands for the document itself.
    let mut open = vec![Element::default()];
    let mut count = 0;
    loop {
        let event = reader
            .read_event()
            .map_err(|_| BadCall::InvalidBody("not XML"))?;
        let inside = open.len() > 1;
        let Some(current) = open.last_mut() else {
            return Err(BadCall::InvalidBody("not XML"));
        };
        match event {
            Event::Start(tag) => open.push(Element::named(tag.local_name().as_ref())),
            Event::Empty(tag) => {
                let element = Element::named(tag.local_name().as_ref());
                current.children.push(element);
            }
            Event::End(_) => close(&mut open)?,
            Event::Text(text) if inside => current.push(&text.xml10_content()),
            Event::CData(text) if inside => current.push(&text.xml10_content()),
            Event::GeneralRef(entity) if inside => current.push(character(&entity)?.as_str()),
            Event::Text(text) if text.trim().is_empty() => {}
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => break,
            Event::DocType(_) => return Err(BadCall::InvalidBody("a document type")),
            Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) => {
                return Err(BadCall::InvalidBody("not XML"));
            }
        }
        count += 1;
        if open.len() > DEPTH_MAX + 1 || count > PARTS_MAX {
            return Err(BadCall::InvalidBody("too deep or too long"));
        }
    }
    match (open.pop(), open.is_empty()) {
        (Some(mut document), true) if document.children.len() == 1 => {
            Ok(document.children.remove(0))
        }
        _ => Err(BadCall::InvalidBody("not one document")),
    }
}

fn close(open: &mut Vec<Element>) -> Result<(), BadCall> {
    match (open.pop(), open.last_mut()) {
        (Some(element), Some(parent)) => {
            parent.children.push(element);
            Ok(())
        }
        _ => Err(BadCall::InvalidBody("not XML")),
    }
}

impl Element {
    fn named(name: &str) -> Element {
        Element {
            name: name.to_owned(),
            ..Element::default()
        }
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(&clean(text));
    }
}

/// What `&…;` stands for. A document cannot name more, so there is nothing to expand.
fn character(entity: &BytesRef<'_>) -> Result<String, BadCall> {
    let broken = BadCall::InvalidBody("an unknown entity");
    let known = match entity.trim() {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => match entity.resolve_char_ref() {
            Ok(Some(character)) => character,
            _ => return Err(broken),
        },
    };
    Ok(known.to_string())
}

/// Writes `<name>text</name>`.
pub(super) fn element(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", escape(text))
}

/// Text as it may stand in an element or in an attribute: what XML 1.0 cannot hold becomes U+FFFD.
pub(super) fn escape(text: &str) -> String {
    quick_xml::escape::escape(clean(text)).into_owned()
}

/// Source: XML 1.0 §2.2, the characters of a document.
fn clean(text: &str) -> Cow<'_, str> {
    let foreign = |c: char| {
        matches!(c, '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}') && !matches!(c, '\t' | '\n' | '\r')
    };
    if text.contains(foreign) {
        Cow::Owned(text.replace(foreign, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// A call as it comes over the wire, for tests.
#[cfg(test)]
pub(super) fn inbound(body: &[u8]) -> Inbound<'_> {
    Inbound {
        method: "POST",
        path: "",
        query: "",
        headers: &[("content-type", "text/xml")],
        body,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(body: &str) -> String {
        Element::read(body.as_bytes(), "a").unwrap().text
    }

    #[test]
    fn a_document_is_its_elements_and_their_text() {
        let body = "\u{feff}<?xml version=\"1.0\"?>\n<!-- x --><s:a x=\"1\">\n <b>1</b><c/><b>2</b>\n</s:a>\n";
        let root = Element::read(body.as_bytes(), "a").unwrap();
        let names: Vec<_> = root.children.iter().map(|child| &child.name[..]).collect();
        assert_eq!(names, ["b", "c", "b"]);
        assert_eq!(root.child("b").unwrap().text, "1");
        assert_eq!(root.fields().get("b"), Some("1"));
        assert_eq!(root.fields().get("c"), Some(""));
        assert_eq!(
            text("<a>&lt;&#233;&#x41;&amp;&quot;<![CDATA[<&]]>&gt;&apos;</a>"),
            "<éA&\"<&>'"
        );
        assert_eq!(text("<a>x\0y</a>"), "x\u{fffd}y");
    }

    #[test]
    fn what_is_no_plain_document_is_refused() {
        let deep = "<a>".repeat(DEPTH_MAX + 1) + &"</a>".repeat(DEPTH_MAX + 1);
        let wide = format!("<a>{}</a>", "<b/>".repeat(PARTS_MAX));
        for body in [
            "",
            "{}",
            "<a>",
            "</a>",
            "<a></b>",
            "<a/><a/>",
            "<b/>",
            "x<a/>",
            "<a/>x",
            "<a>&b;</a>",
            "<a>&#0;</a>",
            "<a>&#xD800;</a>",
            "&amp;<a/>",
            "<!DOCTYPE a [<!ENTITY b \"b\">]><a>&b;</a>",
            "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>",
            &deep,
            &wide,
        ] {
            let read = Element::read(body.as_bytes(), "a");
            assert!(matches!(read, Err(BadCall::InvalidBody(_))), "{body}");
        }
        let least = "<a>".repeat(DEPTH_MAX) + &"</a>".repeat(DEPTH_MAX);
        assert!(Element::read(least.as_bytes(), "a").is_ok());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Element::read(&body, "a");
        }

        #[test]
        fn no_near_document_panics(body in "(<a>|</a>|<b/>|&amp;|&#1?;|<!\\[CDATA\\[|\\]\\]>|<!--|-->|<\\?|[a-z<>&;\"'/]){0,30}") {
            let _ = Element::read(body.as_bytes(), "a");
        }

        /// A carriage return alone is a line break to XML; we write none.
        #[test]
        fn what_is_written_is_read(written in "[^\r]{0,80}") {
            prop_assert_eq!(text(&element("a", &written)), clean(&written).into_owned());
        }
    }
}
