//! The JSON Schema of a flow file, for editors: they offer its keys, actions and outcomes, and underline what cannot be.
//! What only the whole tells (targets, bindings, lengths) is left to the checks.

use serde_json::{Map, Value, json};

use super::action::{ACTIONS, Action};
use super::value::{LIST_LEN_MAX, RECORDS};

/// A language's code, a screen, a variable, and a key that is pressed.
const LANGUAGE: &str = "^[a-z]{2,3}$";
const NAME: &str = "^[a-z0-9_]+$";
const VARIABLE: &str = "^[a-z_]+$";
const KEY: &str = "^(0|[1-9][0-9]{0,2})$";

/// The schema of `menus/*.yaml`, other than the messages and the glossary.
pub fn flow() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A ReserveFlow menu",
        "type": "object",
        "additionalProperties": false,
        "required": ["flow", "start", "variables", "screens"],
        "properties": {
            "flow": { "type": "string", "description": "Its name, which is that of its file" },
            "languages": { "type": "array", "items": { "type": "string", "pattern": LANGUAGE }, "description": "The languages it speaks, the default first; a flow that is called speaks those of its caller" },
            "start": { "$ref": "#/$defs/screen_name", "description": "The first screen" },
            "variables": { "type": "object", "propertyNames": { "pattern": VARIABLE }, "additionalProperties": { "$ref": "#/$defs/type" }, "description": "What is remembered, each with its type" },
            "resume": {
                "type": "object", "additionalProperties": false, "required": ["screen", "needs"],
                "properties": { "screen": { "$ref": "#/$defs/screen_name" }, "needs": { "type": "array", "items": { "$ref": "#/$defs/variable" } }, "mode": { "enum": ["silent", "ask", "start_over"], "default": "ask" } },
                "description": "The screen that asks who dials again soon whether to go on, what has to be known for it, and whether it is asked at all"
            },
            "after_wrong": {
                "type": "object", "additionalProperties": false, "required": ["tries", "goto"],
                "properties": { "tries": { "type": "integer", "minimum": 1, "maximum": 255 }, "goto": { "$ref": "#/$defs/screen_name" } },
                "description": "The screen after so many wrong answers"
            },
            "dial": { "$ref": "#/$defs/screen_name", "description": "The screen that takes what is dialled behind the code" },
            "aliases": { "type": "object", "propertyNames": { "pattern": "^[A-Za-z0-9]{1,12}$" }, "additionalProperties": { "$ref": "#/$defs/screen_name" }, "description": "What can be dialled behind the code, and the screen where that begins" },
            "keys": {
                "type": "object", "additionalProperties": false,
                "properties": {
                    "back": { "$ref": "#/$defs/leading_key" }, "home": { "$ref": "#/$defs/leading_key" },
                    "more": { "$ref": "#/$defs/leading_key" }, "previous": { "$ref": "#/$defs/leading_key" }
                },
                "description": "Keys that lead around, if not 0, 00, 98 and 99"
            },
            "screens": { "type": "object", "propertyNames": { "pattern": NAME, "not": { "enum": ["draft", "return"] } }, "additionalProperties": { "$ref": "#/$defs/screen" }, "description": "The screens by name" }
        },
        "$defs": definitions()
    })
}

fn definitions() -> Value {
    json!({
        "screen_name": { "type": "string", "pattern": NAME },
        "variable": { "type": "string", "pattern": VARIABLE },
        "target": { "type": "string", "pattern": "^([a-z0-9_]+|return [a-z0-9_]+)$", "description": "A screen, draft, or the way back to the flow that called" },
        "leading_key": { "type": ["integer", "string"], "pattern": "^(00|0|[1-9][0-9]{0,2})$", "minimum": 0, "maximum": 999 },
        "texts": {
            "anyOf": [
                { "type": "object", "propertyNames": { "pattern": LANGUAGE }, "additionalProperties": { "type": "string", "pattern": "\\S" } },
                { "type": "string", "pattern": "\\S" }
            ],
            "description": "One text in each language, or one for all of them"
        },
        "condition": {
            "type": "string",
            "pattern": "^\\s*(not\\s+)?([a-z_]+|[a-z_]+(\\.[a-z_]+)?\\s+[<=>]\\s+\\S+)\\s*$",
            "description": "friend, not friend, nights > 1, country = UG"
        },
        "type": types(),
        "option": {
            "type": "object", "additionalProperties": false, "required": ["say", "goto"],
            "properties": {
                "say": { "$ref": "#/$defs/texts" },
                "goto": { "$ref": "#/$defs/target" },
                "set": { "type": "object", "propertyNames": { "pattern": VARIABLE }, "additionalProperties": { "type": ["string", "integer"] }, "description": "Variables that it binds: another variable, or a number" },
                "language": { "type": "string", "pattern": LANGUAGE, "description": "The language that it changes to" },
                "if": { "$ref": "#/$defs/condition", "description": "It is there only where this holds" }
            }
        },
        "screen": { "type": "object", "oneOf": [asks(), works(), calls(), forks(), ends()] }
    })
}

fn types() -> Value {
    let records: Vec<_> = RECORDS.iter().map(|record| record.name).collect();
    let words = [
        "date",
        "money",
        "name",
        "place_name",
        "nights",
        "guests",
        "msisdn",
        "code",
        "pin",
    ];
    let lists = records.iter().map(|record| format!("list of {record}"));
    let words = words.iter().chain(&records).map(ToString::to_string);
    json!({
        "anyOf": [
            { "enum": words.chain(lists).collect::<Vec<_>>() },
            { "type": "string", "pattern": "^text [1-9][0-9]*$" },
            { "type": "string", "pattern": "^count -?[0-9]{1,4}\\.\\.-?[0-9]{1,4}$" }
        ]
    })
}

fn asks() -> Value {
    let number = json!({ "type": "integer", "minimum": 1, "maximum": LIST_LEN_MAX });
    json!({
        "additionalProperties": false,
        "required": ["say"],
        "properties": {
            "say": { "$ref": "#/$defs/texts" },
            "options": { "type": "object", "propertyNames": { "pattern": KEY }, "additionalProperties": { "$ref": "#/$defs/option" } },
            "input": { "type": "object", "minProperties": 1, "maxProperties": 1, "propertyNames": { "pattern": VARIABLE }, "additionalProperties": { "$ref": "#/$defs/type" }, "description": "What is typed, and the variable that keeps it" },
            "list": { "$ref": "#/$defs/variable", "description": "A list whose items are numbered above the options" },
            "item": { "$ref": "#/$defs/texts", "description": "The text of one item, with its own fields" },
            "pick": { "$ref": "#/$defs/variable", "description": "What keeps the chosen item" },
            "per_page": number,
            "at_most": number,
            "goto": { "$ref": "#/$defs/target", "description": "Where a typed answer or a chosen item leads" },
            "typed_goto": { "$ref": "#/$defs/target", "description": "Where typed words lead, beside a list" }
        },
        "anyOf": [
            { "required": ["options"], "properties": { "options": { "minProperties": 1 } } },
            { "required": ["input"] },
            { "required": ["list"] }
        ],
        "dependentRequired": {
            "input": ["goto"], "list": ["item", "pick", "goto"], "item": ["list"], "pick": ["list"],
            "per_page": ["list"], "at_most": ["list"], "typed_goto": ["list", "input"]
        },
        "dependentSchemas": {
            "goto": { "anyOf": [{ "required": ["input"] }, { "required": ["list"] }] },
            "list": { "if": { "required": ["input"] }, "then": { "required": ["typed_goto"] } }
        }
    })
}

fn works() -> Value {
    let each: Vec<_> = ACTIONS.iter().map(ends_of).collect();
    let names: Vec<_> = ACTIONS.iter().map(|action| action.name).collect();
    json!({
        "additionalProperties": false,
        "required": ["run", "on"],
        "properties": {
            "run": { "enum": names, "description": "A piece of work" },
            "on": { "type": "object", "additionalProperties": { "$ref": "#/$defs/target" }, "description": "Where each way it can end leads" },
            "notice": { "type": "object", "additionalProperties": { "$ref": "#/$defs/texts" }, "description": "A line above the next screen, by the way it ended" }
        },
        "allOf": each
    })
}

/// All ways in which an action can end, and no other.
fn ends_of(action: &Action) -> Value {
    let names: Vec<_> = action.outcomes.iter().map(|outcome| outcome.name).collect();
    let known: Map<String, Value> = names
        .iter()
        .map(|name| ((*name).to_owned(), json!(true)))
        .collect();
    json!({
        "if": { "properties": { "run": { "const": action.name } } },
        "then": {
            "properties": {
                "on": { "properties": known, "required": names, "propertyNames": { "enum": names } },
                "notice": { "propertyNames": { "enum": names } }
            }
        }
    })
}

fn calls() -> Value {
    json!({
        "additionalProperties": false,
        "required": ["call"],
        "properties": {
            "call": { "type": "string", "pattern": NAME, "description": "The flow, which is the name of its file" },
            "goto": { "$ref": "#/$defs/target", "description": "Where a bare return leads" },
            "on": { "type": "object", "additionalProperties": { "$ref": "#/$defs/target" }, "description": "Where each return with a word leads" }
        }
    })
}

fn forks() -> Value {
    json!({
        "additionalProperties": false,
        "required": ["if", "goto", "else"],
        "properties": {
            "if": { "$ref": "#/$defs/condition" },
            "goto": { "$ref": "#/$defs/target", "description": "Where it leads if it holds" },
            "else": { "$ref": "#/$defs/target", "description": "Where it leads if not" }
        }
    })
}

fn ends() -> Value {
    json!({
        "additionalProperties": false,
        "required": ["end"],
        "properties": { "end": { "$ref": "#/$defs/texts", "description": "The last text" } }
    })
}
