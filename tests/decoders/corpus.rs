//! Inputs, and the file where they are kept: one JSON object a line, bodies in hexadecimal.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a decoder is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    pub decoder: String,
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: Vec<(String, String)>,
    #[serde(with = "hexadecimal")]
    pub body: Vec<u8>,
}

impl Input {
    /// Its length.
    pub fn octets(&self) -> usize {
        let headers = self.headers.iter();
        let headers: usize = headers.map(|(name, value)| name.len() + value.len()).sum();
        self.path.len() + self.query.len() + self.body.len() + headers
    }
}

mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(octets: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        serializer.serialize_str(&hex)
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let hex = String::deserialize(deserializer)?;
        reserveflow::sms::fields::parse_hex(hex.as_bytes())
            .ok_or_else(|| serde::de::Error::custom("not hexadecimal"))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where inputs are kept.
pub fn folder() -> PathBuf {
    root().join("tests/corpus")
}

/// Every input kept in this file.
pub fn kept(file: &str) -> Vec<Input> {
    let lines = fs::read_to_string(folder().join(file)).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Writes them all.
pub fn keep(file: &str, mut corpus: Vec<Input>) {
    corpus.sort_by_key(|input| {
        (
            input.decoder.clone(),
            input.body.clone(),
            input.query.clone(),
        )
    });
    let lines: String = corpus
        .iter()
        .map(|input| serde_json::to_string(input).unwrap() + "\n")
        .collect();
    fs::write(folder().join(file), lines).unwrap();
}

/// A file of `tests/vectors`.
pub fn vectors(name: &str) -> Option<Value> {
    let path = root().join("tests/vectors").join(name);
    let text = fs::read_to_string(path).ok()?;
    Some(serde_json::from_str(&text).unwrap())
}

/// Every request of a file of vectors.
pub fn requests(decoder: &str, name: &str) -> Vec<Input> {
    let Some(file) = vectors(name) else {
        return vec![];
    };
    let dialogues = file["dialogues"].as_array().unwrap().iter();
    let steps = dialogues.flat_map(|dialogue| dialogue["steps"].as_array().unwrap());
    let requests = steps.filter_map(|step| step.get("request"));
    requests.map(|request| input(decoder, request)).collect()
}

/// Every answer of a provider in a file of vectors.
pub fn answers(decoder: &str, name: &str) -> Vec<Input> {
    let Some(file) = vectors(name) else {
        return vec![];
    };
    let dialogues = file["dialogues"].as_array().unwrap().iter();
    let steps = dialogues.flat_map(|dialogue| dialogue["steps"].as_array().unwrap());
    let answers = steps.filter_map(|step| step["response"]["body"].as_str());
    answers
        .map(|body| Input {
            decoder: decoder.to_owned(),
            body: body.into(),
            ..Input::default()
        })
        .collect()
}

fn input(decoder: &str, request: &Value) -> Input {
    let text = |name: &str| request[name].as_str().unwrap_or_default().to_owned();
    let headers = request["headers"].as_object().into_iter().flatten();
    Input {
        decoder: decoder.to_owned(),
        method: text("method"),
        // What follows the token, or the door.
        path: match text("path").rsplit_once('/') {
            Some((_, last)) => format!("/{last}"),
            None => String::new(),
        },
        query: text("query"),
        headers: headers
            .map(|(name, value)| {
                let value = value.as_str().unwrap_or_default().to_owned();
                (name.to_ascii_lowercase(), value)
            })
            .collect(),
        body: text("body").into_bytes(),
    }
}
