-- SMS out (written in the transaction that caused them), SMS in, and what aggregators report of finished sessions.

create table outbox (
    outbox_id      bigint generated always as identity primary key,
    reservation_id uuid references reservation,
    turn           text,
    kind           text not null,
    msisdn         text not null,
    text           text not null,
    status         text not null default 'pending'
                   check (status in ('pending', 'sending', 'accepted', 'sent', 'buffered', 'delivered', 'failed', 'expired', 'unknown', 'dropped')),
    attempts       integer not null default 0,
    -- How many attempts ended without an answer: each may have reached the phone.
    unknowns       integer not null default 0,
    due_at         timestamptz not null default now(),
    lease_until    timestamptz,
    lease_token    bigint not null default 0,
    provider       text,
    provider_id    text,
    reason         text,
    expires_at     timestamptz not null,
    created_at     timestamptz not null default now(),
    sent_at        timestamptz,
    reported_at    timestamptz
);
-- One confirmation to one number per reservation, whatever is repeated.
create unique index outbox_once on outbox (reservation_id, kind, msisdn) where reservation_id is not null;
-- One answer to one turn.
create unique index outbox_turn on outbox (turn) where turn is not null;
create index outbox_due on outbox (due_at) where status in ('pending', 'sending', 'unknown');
create index outbox_provider on outbox (provider, provider_id) where provider_id is not null;
create index outbox_msisdn on outbox (msisdn, outbox_id);

-- A report may come before the send call's own answer has been stored: it waits here for its message.
create table delivery_report (
    delivery_report_id bigint generated always as identity primary key,
    provider    text not null,
    provider_id text not null,
    status      text not null,
    reason      text,
    at          timestamptz not null default now(),
    matched     boolean not null default false
);
create index delivery_report_unmatched on delivery_report (provider, provider_id) where not matched;

create table inbound_sms (
    inbound_sms_id bigint generated always as identity primary key,
    provider    text not null,
    provider_id text not null,
    msisdn      text not null,
    recipient   text not null,
    text        text not null,
    at          timestamptz not null default now(),
    unique (provider, provider_id)
);
create index inbound_sms_msisdn on inbound_sms (msisdn, at);

-- A dialogue that began, for the redial offer and the funnel; draft is what "continue" takes up again.
create table draft (
    msisdn   text primary key,
    draft    jsonb not null,
    saved_at timestamptz not null default now()
);

create table session_end (
    aggregator  text not null,
    session     text not null,
    -- Some aggregators do not tell it with the end.
    msisdn      text,
    service_code text not null,
    operator    text,
    outcome     text not null check (outcome in ('completed', 'abandoned', 'timeout', 'failed')),
    hops        integer,
    duration_ms integer,
    cost        text,
    input       text,
    last_reply  text,
    error       text,
    at          timestamptz not null default now(),
    primary key (aggregator, session)
);

create table call_back (
    call_back_id bigint generated always as identity primary key,
    msisdn   text not null,
    language text not null,
    screen   text not null,
    turn_door     text not null,
    turn_session  text not null,
    turn_position integer not null,
    asked_at timestamptz not null default now(),
    done_at  timestamptz,
    unique (turn_door, turn_session, turn_position)
);
