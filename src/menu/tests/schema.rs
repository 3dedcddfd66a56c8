//! What the JSON Schema says of a file is what the loader says, as far as a schema can tell.

use jsonschema::Validator;
use serde_json::Value;

use crate::menu::schema;

use super::findings::{CASES, SMALL, broken};
use super::shipped;

/// Words of the messages of findings that an editor has to underline as well.
const TELLS: &[&str] = &[
    "need a 'goto'",
    "'dat' is not a type",
    "'text 0' is not a type",
    "a notice for 'gone'",
    "no action 'find_places'",
    "never ends in 'two'",
    "'none' of 'find_place' is not handled",
    "'x' cannot lead around",
    "'1000' cannot be",
    "'05' cannot be",
    "'A' cannot be",
    "'00' leads around",
    "exactly one of",
    "'goto' belongs to a screen with 'input' or 'list'",
    "'typed_goto' says where",
    "exactly one variable",
    "needs 'item' and 'pick'",
    "'on' belongs to a screen with 'run'",
    "'options' belongs to a screen with 'say'",
    "'goto' belongs to a screen with 'say'",
    "'per_page' belongs to a screen with 'list'",
    "'else' belongs to a screen with 'if'",
    "cannot be a screen",
    "no answer leads out of 'lost'",
    "is not a condition",
    "needs a 'goto' and an 'else'",
    "'a-b' cannot be dialled",
    "nothing to read",
    "'per_page' is 1 to 24",
    "'at_most' is 1 to 24",
    "unknown variant",
    "unknown field",
    "missing field",
];

fn validator() -> Validator {
    jsonschema::validator_for(&schema::flow()).unwrap()
}

fn read(source: &str) -> Option<Value> {
    serde_saphyr::from_str(source).ok()
}

#[test]
fn the_schema_in_the_folder_is_the_one_of_the_code() {
    let written = serde_json::to_string_pretty(&schema::flow()).unwrap() + "\n";
    assert!(
        shipped("schema/flow.json") == written,
        "write it with: reserveflow menus schema > menus/schema/flow.json"
    );
}

#[test]
fn every_flow_that_goes_live_is_one_by_the_schema() {
    let validator = validator();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/menus");
    let mut flows = vec![("SMALL".to_owned(), SMALL.to_owned())];
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_flow =
            name.ends_with(".yaml") && !["messages.yaml", "glossary.yaml"].contains(&&*name);
        if is_flow {
            let source = shipped(&name);
            flows.push((name, source));
        }
    }
    let named = "# yaml-language-server: $schema=schema/flow.json\n";
    assert!(shipped("booking.yaml").starts_with(named));
    let readme = shipped("README.md");
    assert!(readme.contains(named));
    let (_, after) = readme.split_once("```yaml\n").unwrap();
    flows.push((
        "README.md".to_owned(),
        after.split("```").next().unwrap().to_owned(),
    ));
    assert!(flows.len() > 2);
    for (name, source) in flows {
        let file = read(&source).unwrap_or_else(|| panic!("{name}"));
        let errors: Vec<_> = validator
            .iter_errors(&file)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{name}: {}", errors.join("\n"));
    }
}

#[test]
fn what_a_schema_can_tell_is_refused_by_it() {
    let validator = validator();
    let mut faults = Vec::new();
    for (code, words, changes) in CASES {
        let (source, ..) = broken(SMALL, changes);
        // What is no YAML is underlined without a schema.
        let Some(file) = read(&source) else { continue };
        let tells = TELLS.contains(words);
        let refuses = !validator.is_valid(&file);
        if tells && !refuses {
            faults.push(format!("{code} '{words}' is not refused"));
        }
        if refuses && !tells {
            faults.push(format!("{code} '{words}' is refused, and not in the table"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
