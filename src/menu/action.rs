//! The pieces of work that a screen can run, declared: what each reads, what it binds, how it can end.
//! What they do is the business of `session::actions`; a menu is checked against this page.

/// One action. Names are variables of the flow; their types are fixed here.
#[derive(Debug)]
pub struct Action {
    /// As in `run:`.
    pub name: &'static str,
    /// Variables that must be bound.
    pub needs: &'static [&'static str],
    /// Variables it binds, by outcome.
    pub outcomes: &'static [Outcome],
    /// Whether it changes anything outside the dialogue. A screen whose option leads here commits:
    /// replayed or deep-dialled answers never pass it.
    pub commits: bool,
    /// Whether the caller may owe more for it at once, and no PIN of a wallet stands before that. Such a screen is never
    /// reached by the key that says yes to it.
    pub costs: bool,
}

/// One way in which an action can end.
#[derive(Debug)]
pub struct Outcome {
    /// As in `on:`.
    pub name: &'static str,
    /// Variables bound when it ends so.
    pub binds: &'static [&'static str],
}

const fn outcome(name: &'static str, binds: &'static [&'static str]) -> Outcome {
    Outcome { name, binds }
}

const UNAVAILABLE: Outcome = outcome("unavailable", &[]);

/// The types of the variables that actions read and bind, in the words of a menu file.
pub static VARIABLES: &[(&str, &str)] = &[
    ("typed", "text 40"),
    ("places", "list of place"),
    ("place", "place"),
    ("regions", "list of region"),
    ("region", "region"),
    ("check_in", "date"),
    ("nights", "count 1..30"),
    ("least", "count 1..30"),
    ("most", "count 1..30"),
    ("days_ahead", "count 0..365"),
    ("hours_before", "count 1..999"),
    ("check_out", "date"),
    ("guests", "count 1..12"),
    ("offers", "list of offer"),
    // Minutes since the offers were looked up.
    ("age", "count 1..60"),
    ("offer", "offer"),
    ("quote", "quote"),
    ("name", "name"),
    ("friend", "msisdn"),
    ("booking", "booking"),
    ("bookings", "list of booking"),
    ("ways", "list of way"),
    ("way", "way"),
    ("payment", "payment"),
    ("cancel_cost", "money"),
    ("new_total", "money"),
    ("difference", "money"),
    ("pin", "pin"),
    // When a code begins to count.
    ("usable_from", "text 16"),
    // Bound by a right PIN alone.
    ("host", "host"),
    ("lodge", "lodge"),
    ("lodges", "list of lodge"),
    ("code", "code"),
    ("from", "date"),
    ("until", "date"),
    ("rooms", "count 0..999"),
    ("amount", "money"),
    ("change", "change"),
];

const PRICE: &[&str] = &["new_total", "difference"];
const NIGHTS: &[&str] = &["host", "lodge", "from", "until"];
const ROOMS: &[&str] = &["host", "lodge", "from", "until", "rooms"];
const AMOUNT: &[&str] = &["host", "lodge", "from", "until", "amount"];
const STAY: &[&str] = &["place", "check_in", "nights", "guests"];

/// Every action.
pub static ACTIONS: &[Action] = &[
    Action {
        name: "recent_places",
        needs: &[],
        commits: false,
        costs: false,
        outcomes: &[outcome("found", &["places"]), outcome("none", &[])],
    },
    Action {
        name: "find_place",
        needs: &["typed"],
        commits: false,
        costs: false,
        outcomes: &[
            outcome("one", &["place"]),
            outcome("several", &["places"]),
            outcome("none", &[]),
        ],
    },
    Action {
        name: "list_regions",
        needs: &[],
        commits: false,
        costs: false,
        outcomes: &[outcome("found", &["regions"]), outcome("none", &[])],
    },
    Action {
        name: "list_towns",
        needs: &["region"],
        commits: false,
        costs: false,
        outcomes: &[outcome("found", &["places"]), outcome("none", &[])],
    },
    Action {
        name: "time_of_day",
        needs: &[],
        commits: false,
        costs: false,
        outcomes: &[outcome("day", &[]), outcome("after_midnight", &[])],
    },
    Action {
        name: "search",
        needs: STAY,
        commits: false,
        costs: false,
        outcomes: &[
            outcome("found", &["offers"]),
            // The database cannot be asked now: what it last said.
            outcome("remembered", &["offers", "age"]),
            outcome("too_short", &["least"]),
            outcome("too_long", &["most"]),
            outcome("no_arrival", &[]),
            outcome("no_departure", &["check_out"]),
            outcome("too_far", &["days_ahead"]),
            outcome("too_soon", &["hours_before"]),
            outcome("none", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "text_offers",
        needs: &["offers", "check_in", "nights"],
        commits: true,
        costs: false,
        outcomes: &[outcome("done", &[]), UNAVAILABLE],
    },
    Action {
        name: "quote",
        needs: &["place", "offer", "check_in", "nights", "guests"],
        commits: false,
        costs: false,
        outcomes: &[
            outcome("quoted", &["quote"]),
            outcome("taken", &["offers"]),
            outcome("too_short", &["least"]),
            outcome("too_long", &["most"]),
            outcome("no_arrival", &[]),
            outcome("no_departure", &["check_out"]),
            outcome("too_far", &["days_ahead"]),
            outcome("too_soon", &["hours_before"]),
            outcome("sold_out", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "add_wish",
        needs: STAY,
        commits: true,
        costs: false,
        outcomes: &[outcome("noted", &[]), outcome("too_many", &[]), UNAVAILABLE],
    },
    Action {
        name: "find_offered",
        needs: &[],
        commits: false,
        costs: false,
        outcomes: &[
            outcome("found", &["booking"]),
            outcome("none", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "take_room",
        needs: &["booking"],
        commits: true,
        costs: false,
        outcomes: &[
            outcome("confirmed", &["booking"]),
            // The lodge wants money first.
            outcome("pay", &[]),
            outcome("over", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "known_guest",
        needs: &[],
        commits: false,
        costs: false,
        outcomes: &[outcome("known", &["name"]), outcome("unknown", &[])],
    },
    Action {
        name: "reserve",
        needs: &["place", "offer", "quote", "check_in", "nights", "guests"],
        commits: true,
        costs: false,
        outcomes: &[
            outcome("confirmed", &["booking"]),
            outcome("held", &["booking"]),
            outcome("taken", &["offers"]),
            outcome("too_short", &["least"]),
            outcome("too_long", &["most"]),
            outcome("no_arrival", &[]),
            outcome("no_departure", &["check_out"]),
            outcome("too_far", &["days_ahead"]),
            outcome("too_soon", &["hours_before"]),
            outcome("sold_out", &[]),
            outcome("price_changed", &["quote"]),
            outcome("too_many", &[]),
            outcome("too_often", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "list_bookings",
        needs: &[],
        commits: false,
        costs: false,
        outcomes: &[
            outcome("found", &["bookings"]),
            outcome("none", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "list_unpaid",
        needs: &[],
        commits: false,
        costs: false,
        outcomes: &[
            outcome("found", &["bookings"]),
            outcome("none", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "price_of_cancel",
        needs: &["booking"],
        commits: false,
        costs: false,
        outcomes: &[
            outcome("free", &["cancel_cost"]),
            outcome("costs", &["cancel_cost"]),
            outcome("too_late", &[]),
            outcome("gone", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "cancel",
        needs: &["booking", "cancel_cost"],
        commits: true,
        costs: true,
        outcomes: &[
            outcome("cancelled", &[]),
            outcome("cancelled_late", &[]),
            outcome("costs", &["cancel_cost"]),
            outcome("too_late", &[]),
            outcome("gone", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "price_of_change",
        needs: &["booking", "check_in", "nights"],
        commits: false,
        costs: false,
        outcomes: &[
            outcome("dearer", PRICE),
            outcome("cheaper", PRICE),
            outcome("same_price", PRICE),
            outcome("same_days", &[]),
            outcome("taken", &[]),
            outcome("too_short", &["least"]),
            outcome("too_long", &["most"]),
            outcome("no_arrival", &[]),
            outcome("no_departure", &["check_out"]),
            outcome("too_far", &["days_ahead"]),
            outcome("too_soon", &["hours_before"]),
            outcome("too_late", &[]),
            outcome("gone", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "change_days",
        needs: &["booking", "check_in", "nights", "new_total"],
        commits: true,
        costs: true,
        outcomes: &[
            outcome("changed", &["booking"]),
            outcome("dearer", PRICE),
            outcome("cheaper", PRICE),
            outcome("same_price", PRICE),
            outcome("taken", &[]),
            outcome("too_short", &["least"]),
            outcome("too_long", &["most"]),
            outcome("no_arrival", &[]),
            outcome("no_departure", &["check_out"]),
            outcome("too_far", &["days_ahead"]),
            outcome("too_soon", &["hours_before"]),
            outcome("too_late", &[]),
            outcome("gone", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "ways_to_pay",
        needs: &["booking"],
        commits: false,
        costs: false,
        outcomes: &[
            outcome("found", &["ways", "booking"]),
            outcome("by_hand", &["payment", "booking"]),
            outcome("away", &["ways", "booking"]),
            outcome("open", &[]),
            outcome("over", &[]),
            outcome("none", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "pay",
        needs: &["booking", "way"],
        commits: true,
        costs: false,
        outcomes: &[
            outcome("prompted", &["payment", "booking"]),
            outcome("prompted_or_by_hand", &["payment", "booking"]),
            outcome("by_hand", &["payment", "booking"]),
            outcome("away", &["ways", "booking"]),
            outcome("later", &["booking"]),
            outcome("confirmed", &["booking"]),
            outcome("open", &[]),
            outcome("over", &[]),
            outcome("none", &[]),
            outcome("too_often", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "call_back",
        needs: &[],
        commits: true,
        costs: false,
        outcomes: &[outcome("noted", &[]), UNAVAILABLE],
    },
    Action {
        name: "know_host",
        needs: &[],
        commits: false,
        costs: false,
        outcomes: &[
            outcome("pin", &[]),
            outcome("new_pin", &[]),
            outcome("code", &[]),
            outcome("locked", &[]),
            outcome("by_sms", &[]),
            outcome("stranger", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "check_pin",
        needs: &["pin"],
        commits: false,
        costs: false,
        outcomes: &[
            outcome("right", &["host"]),
            outcome("wrong", &[]),
            outcome("locked", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "send_pin_code",
        needs: &[],
        commits: true,
        costs: false,
        outcomes: &[
            outcome("sent", &[]),
            outcome("later", &["usable_from"]),
            outcome("have", &[]),
            outcome("too_often", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "check_pin_code",
        needs: &["pin"],
        commits: false,
        costs: false,
        outcomes: &[
            outcome("right", &[]),
            outcome("wrong", &[]),
            outcome("locked", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "choose_pin",
        needs: &["pin"],
        commits: false,
        costs: false,
        outcomes: &[
            outcome("kept", &[]),
            outcome("weak", &[]),
            outcome("over", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "set_pin",
        needs: &["pin"],
        commits: true,
        costs: false,
        outcomes: &[
            outcome("set", &["host"]),
            outcome("differs", &[]),
            outcome("over", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "list_arrivals",
        needs: &["host"],
        commits: false,
        costs: false,
        outcomes: &[
            outcome("found", &["bookings"]),
            outcome("none", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "check_in",
        needs: &["host", "booking"],
        commits: true,
        costs: false,
        outcomes: &[
            outcome("here", &["booking"]),
            outcome("here_paid", &["booking"]),
            outcome("gone", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "check_in_code",
        needs: &["host", "code"],
        commits: true,
        costs: false,
        outcomes: &[
            outcome("here", &["booking"]),
            outcome("here_paid", &["booking"]),
            outcome("wrong", &[]),
            outcome("locked", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "no_show",
        needs: &["host", "booking"],
        commits: true,
        costs: false,
        outcomes: &[
            outcome("done", &[]),
            outcome("too_soon", &[]),
            outcome("gone", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "turn_away",
        needs: &["host", "booking"],
        commits: true,
        costs: false,
        outcomes: &[outcome("done", &[]), outcome("gone", &[]), UNAVAILABLE],
    },
    Action {
        name: "list_lodges",
        needs: &["host"],
        commits: false,
        costs: false,
        outcomes: &[
            outcome("one", &["lodge", "from"]),
            outcome("several", &["lodges", "from"]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "look_at_night",
        needs: &["host", "lodge"],
        commits: false,
        costs: false,
        outcomes: &[
            outcome("open", &["lodge"]),
            outcome("closed", &["lodge"]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "look_at_prices",
        needs: NIGHTS,
        commits: false,
        costs: false,
        outcomes: &[
            outcome("found", &["change"]),
            outcome("bad_dates", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "plan_closing",
        needs: NIGHTS,
        commits: false,
        costs: false,
        outcomes: &[
            outcome("found", &["change"]),
            outcome("bad_dates", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "close_nights",
        needs: NIGHTS,
        commits: true,
        costs: false,
        outcomes: &[
            outcome("done", &["change"]),
            outcome("bad_dates", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "plan_opening",
        needs: NIGHTS,
        commits: false,
        costs: false,
        outcomes: &[
            outcome("found", &["change"]),
            outcome("bad_dates", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "open_nights",
        needs: NIGHTS,
        commits: true,
        costs: false,
        outcomes: &[
            outcome("done", &["change"]),
            outcome("bad_dates", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "plan_rooms",
        needs: ROOMS,
        commits: false,
        costs: false,
        outcomes: &[
            outcome("found", &["change"]),
            outcome("too_many", &["change"]),
            outcome("bad_dates", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "set_rooms",
        needs: ROOMS,
        commits: true,
        costs: false,
        outcomes: &[
            outcome("done", &["change"]),
            outcome("too_many", &["change"]),
            outcome("bad_dates", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "plan_out_of_use",
        needs: ROOMS,
        commits: false,
        costs: false,
        outcomes: &[
            outcome("found", &["change"]),
            outcome("overbooks", &["change"]),
            outcome("bad_dates", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "set_out_of_use",
        needs: ROOMS,
        commits: true,
        costs: false,
        outcomes: &[
            outcome("done", &["change"]),
            outcome("overbooks", &["change"]),
            outcome("bad_dates", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "overbook",
        needs: ROOMS,
        commits: true,
        costs: false,
        outcomes: &[
            outcome("done", &["change"]),
            outcome("bad_dates", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "plan_price",
        needs: AMOUNT,
        commits: false,
        costs: false,
        outcomes: &[
            outcome("found", &["change"]),
            outcome("bad_price", &[]),
            outcome("bad_dates", &[]),
            UNAVAILABLE,
        ],
    },
    Action {
        name: "set_price",
        needs: AMOUNT,
        commits: true,
        costs: false,
        outcomes: &[
            outcome("done", &["change"]),
            outcome("bad_price", &[]),
            outcome("bad_dates", &[]),
            UNAVAILABLE,
        ],
    },
];

/// Variables that every template can show without binding them.
pub static GIVEN: &[(&str, &str)] = &[
    ("today", "date"),
    ("tomorrow", "date"),
    ("yesterday", "date"),
    ("weekend", "date"),
    ("service_code", "text 14"),
    ("care_phone", "text 16"),
    // ISO code of the caller's country, and the own names of the languages spoken there.
    ("country", "text 2"),
    ("languages", "text 28"),
];

/// The action with this name.
pub fn find(name: &str) -> Option<&'static Action> {
    ACTIONS.iter().find(|action| action.name == name)
}

impl Action {
    /// Whether it changes nothing and counts no tries: done twice it is as if done once.
    pub fn only_looks(&self) -> bool {
        !self.commits && !self.needs.contains(&"pin")
    }

    /// The outcome with this name.
    pub fn outcome(&self, name: &str) -> Option<&'static Outcome> {
        self.outcomes.iter().find(|outcome| outcome.name == name)
    }
}
