//! `reserveflow dial '*384*7#'`: the phone in the terminal, for people and for scripts.

use std::collections::VecDeque;
use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::gateway;
use super::phone::{Dialogue, Exchange, Phone, SEPTETS_MAX, Screen, State, client};
use crate::phone::Msisdn;

/// The dialogue did not end properly: no answer, or one that no phone can show.
const FAULT: u8 = 1;
/// The arguments make no sense.
const USAGE: u8 = 2;
/// The answers ran out before the last screen.
const UNFINISHED: u8 = 3;

/// How long the network waits for the subscriber. Source: Africa's Talking, help-centre article 1284071 (whole session).
const ANSWER_WITHIN: Duration = Duration::from_secs(180);
/// Characters of a line on the drawn screen.
const LINE_CHARS: usize = 32;

/// Dial a USSD code as a phone would, through the aggregator's wire format.
#[derive(Debug, Args)]
#[command(
    after_help = "Answers come from the keyboard, one a line (q hangs up), from a pipe, or from --answers.\n\
    Exit code: 0 the dialogue ended, 1 no proper answer, 2 usage, 3 out of answers before the end."
)]
pub struct DialArgs {
    /// What is dialled: '*384*7#', or further ahead '*384*7*1*Nakuru#'
    pub dialled: String,
    /// Who dials, with country code
    #[arg(long, default_value = "+254711000001")]
    pub msisdn: String,
    /// The service's public address
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub public: String,
    /// The secret in the aggregator's path
    #[arg(
        long,
        default_value = "demo",
        env = "RESERVEFLOW_DIAL_TOKEN",
        hide_env_values = true
    )]
    pub token: String,
    /// Whose wire format is spoken
    #[arg(long, default_value = "africastalking")]
    pub aggregator: String,
    /// The registered code, to tell what was dialled ahead; repeatable
    #[arg(long = "code", default_value = "*384*7#")]
    pub codes: Vec<String>,
    /// Answers in advance, split at commas: "1,2,Nakuru"
    #[arg(long)]
    pub answers: Option<String>,
    /// Print the screens as bare text
    #[arg(long)]
    pub plain: bool,
    /// Print one JSON object per exchange
    #[arg(long, conflicts_with = "plain")]
    pub json: bool,
}

/// Dials, and talks until one side hangs up.
///
/// # Errors
/// When the terminal cannot be read or written, or TLS cannot be set up.
pub async fn run(args: DialArgs) -> anyhow::Result<ExitCode> {
    let phone = match phone(&args)? {
        Ok(phone) => phone,
        Err(usage) => {
            eprintln!("{usage}");
            return Ok(ExitCode::from(USAGE));
        }
    };
    let answers = match &args.answers {
        Some(given) => Answers::Given(given.split(',').map(|one| one.trim().to_owned()).collect()),
        None => Answers::typed(),
    };
    let code = talk(&phone, &args, answers, &mut io::stdout()).await?;
    Ok(ExitCode::from(code))
}

fn phone(args: &DialArgs) -> anyhow::Result<Result<Phone, String>> {
    let Some(gateway) = gateway::find(&args.aggregator) else {
        return Ok(Err(format!("unknown aggregator {}", args.aggregator)));
    };
    let Ok(msisdn) = Msisdn::parse(&args.msisdn) else {
        return Ok(Err(
            "the number needs its country code: +254711000001".to_owned()
        ));
    };
    Ok(Ok(Phone {
        client: client().context("setting up TLS")?,
        public: args.public.trim_end_matches('/').to_owned(),
        token: args.token.clone(),
        gateway,
        msisdn,
    }))
}

async fn talk(
    phone: &Phone,
    args: &DialArgs,
    mut answers: Answers,
    out: &mut impl Write,
) -> anyhow::Result<u8> {
    let (mut dialogue, mut exchange) = match phone.dial(&args.dialled, &args.codes).await {
        Ok(dialled) => dialled,
        Err(refused) => {
            eprintln!("{refused}");
            return Ok(USAGE);
        }
    };
    loop {
        print(args, &exchange, out)?;
        match &dialogue.state {
            State::Waiting => {}
            State::Ended => return finish(phone, args, &dialogue, 0, out).await,
            State::Failed(why) => {
                eprintln!("Connection problem or invalid MMI code: {why}.");
                return finish(phone, args, &dialogue, FAULT, out).await;
            }
        }
        let Some(answer) = answers.next(args, out).await? else {
            return finish(phone, args, &dialogue, UNFINISHED, out).await;
        };
        exchange = phone.answer(&mut dialogue, &answer).await;
    }
}

/// Tells the service that the dialogue is over; that it may not hear changes nothing for the subscriber.
async fn finish(
    phone: &Phone,
    args: &DialArgs,
    dialogue: &Dialogue,
    code: u8,
    out: &mut impl Write,
) -> anyhow::Result<u8> {
    let exchange = phone.hang_up(dialogue).await;
    if args.json {
        print(args, &exchange, out)?;
    } else if let Some(fault) = &exchange.fault {
        eprintln!("The end of the session was not taken: {fault}.");
    }
    Ok(code)
}

fn print(args: &DialArgs, exchange: &Exchange, out: &mut impl Write) -> anyhow::Result<()> {
    if args.json {
        serde_json::to_writer(&mut *out, exchange)?;
        writeln!(out)?;
    } else if let Some(screen) = &exchange.reply {
        if args.plain {
            writeln!(out, "{}", screen.text())?;
        } else {
            write!(out, "{}", drawn(screen, exchange))?;
        }
    }
    Ok(out.flush()?)
}

/// The screen in a box, with what it cost beneath.
fn drawn(screen: &Screen, exchange: &Exchange) -> String {
    let lines: Vec<String> = screen.text().lines().flat_map(wrapped).collect();
    let rule = "─".repeat(LINE_CHARS + 2);
    let mut drawn = format!("┌{rule}┐\n");
    for line in lines {
        let blank = " ".repeat(LINE_CHARS.saturating_sub(line.chars().count()));
        drawn += &format!("│ {line}{blank} │\n");
    }
    let room = match exchange.septets {
        Some(septets) => format!("{septets}/{SEPTETS_MAX}"),
        None => "UCS-2".to_owned(),
    };
    let turn = match screen {
        Screen::Con { .. } => "",
        Screen::End { .. } => " · end",
    };
    drawn + &format!("└{rule}┘\n  {room} · {} ms{turn}\n", exchange.elapsed_ms)
}

/// One line of text as lines of the screen, broken at blanks where there are any.
fn wrapped(line: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in line.split_inclusive(' ') {
        let used = lines.last().map_or(0, |last| last.chars().count());
        if used > 0 && used + word.trim_end().chars().count() > LINE_CHARS {
            lines.push(String::new());
        }
        for c in word.chars() {
            if lines
                .last()
                .is_some_and(|last| last.chars().count() >= LINE_CHARS)
            {
                if c == ' ' {
                    continue;
                }
                lines.push(String::new());
            }
            if let Some(last) = lines.last_mut() {
                last.push(c);
            }
        }
    }
    lines
}

/// Where answers come from.
enum Answers {
    /// The command line.
    Given(VecDeque<String>),
    /// Standard input.
    Typed {
        /// One line each; closed at the end of input.
        lines: mpsc::Receiver<String>,
        /// Someone sits there.
        prompt: bool,
    },
}

impl Answers {
    /// A thread of its own reads, for a blocked read on the runtime would keep the process from ending.
    fn typed() -> Answers {
        let (sender, lines) = mpsc::channel(1);
        std::thread::spawn(move || {
            for line in io::stdin().lock().lines().map_while(Result::ok) {
                if sender.blocking_send(line).is_err() {
                    break;
                }
            }
        });
        Answers::Typed {
            lines,
            prompt: io::stdin().is_terminal(),
        }
    }

    /// The next answer; `None` hangs up.
    async fn next(
        &mut self,
        args: &DialArgs,
        out: &mut impl Write,
    ) -> anyhow::Result<Option<String>> {
        let (answer, shown) = match self {
            Answers::Given(answers) => (answers.pop_front(), false),
            Answers::Typed { lines, prompt } => {
                if *prompt && !args.json {
                    write!(out, "> ")?;
                    out.flush()?;
                }
                let line = timeout(ANSWER_WITHIN, lines.recv()).await;
                (
                    line.ok().flatten().filter(|line| line.trim() != "q"),
                    *prompt,
                )
            }
        };
        if let Some(answer) = answer
            .as_ref()
            .filter(|_| !shown && !args.json && !args.plain)
        {
            writeln!(out, "> {answer}")?;
        }
        Ok(answer)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::simulator::fake::Fake;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        dial: DialArgs,
    }

    async fn dial(public: &str, arguments: &[&str], answers: &[&str]) -> (u8, String) {
        let fixed = ["dial", "*384*7#", "--public", public];
        let args = Cli::parse_from(fixed.iter().chain(arguments)).dial;
        let phone = phone(&args).unwrap().unwrap();
        let given = Answers::Given(answers.iter().map(|one| (*one).to_owned()).collect());
        let mut out = Vec::new();
        let code = talk(&phone, &args, given, &mut out).await.unwrap();
        (code, String::from_utf8(out).unwrap())
    }

    #[actix_web::test]
    async fn the_exit_code_says_how_it_went() {
        let public = Fake::start().public();
        for (answers, code) in [
            (&["1", "bye"][..], 0),
            (&["bye", "unused"], 0),
            (&["1"], UNFINISHED),
            (&[], UNFINISHED),
            (&["status"], FAULT),
            (&["long"], FAULT),
        ] {
            assert_eq!(dial(&public, &[], answers).await.0, code, "{answers:?}");
        }
    }

    #[actix_web::test]
    async fn a_script_reads_bare_screens() {
        let public = Fake::start().public();
        let (_, text) = dial(&public, &["--plain"], &["1", "bye"]).await;
        assert_eq!(text, "first:\nreply:1\nBye\n");
    }

    #[actix_web::test]
    async fn each_exchange_is_a_line_of_json_the_end_included() {
        let public = Fake::start().public();
        let (_, text) = dial(&public, &["--json"], &["bye"]).await;
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[1]["reply"]["kind"], "end");
        assert_eq!(lines[1]["reply"]["text"], "Bye");
        assert_eq!(lines[2]["response_body"], "completed after 2");
    }

    #[actix_web::test]
    async fn a_person_sees_a_box() {
        let public = Fake::start().public();
        let (_, text) = dial(&public, &[], &["bye"]).await;
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[1],
            format!("│ first:{} │", " ".repeat(LINE_CHARS - 6))
        );
        assert!(lines[3].starts_with("  6/182 · "), "{}", lines[3]);
        assert_eq!(lines[4], "> bye");
    }

    #[test]
    fn lines_break_at_blanks_and_long_words_anywhere() {
        assert_eq!(wrapped(""), [""]);
        assert_eq!(wrapped("short line"), ["short line"]);
        let text = "1. Sunset Lodge Nakuru near KFA stage KES 4,500";
        assert_eq!(
            wrapped(text),
            ["1. Sunset Lodge Nakuru near KFA ", "stage KES 4,500"]
        );
        let word = "x".repeat(LINE_CHARS + 3);
        assert_eq!(wrapped(&word), ["x".repeat(LINE_CHARS).as_str(), "xxx"]);
    }

    #[test]
    fn nonsense_is_a_usage_error() {
        for arguments in [["--aggregator", "nobody"], ["--msisdn", "0711"]] {
            let args = Cli::parse_from(["dial", "*384*7#"].iter().chain(&arguments)).dial;
            assert!(phone(&args).unwrap().is_err(), "{arguments:?}");
        }
        assert!(Cli::try_parse_from(["dial"]).is_err());
        assert!(Cli::try_parse_from(["dial", "*1#", "--json", "--plain"]).is_err());
    }
}
