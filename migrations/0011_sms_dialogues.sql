-- The booking flow by SMS: one dialogue a number, and what was agreed to and taken back.

-- A message is worked on by whoever holds the lease; the dialogue is written in the transaction that writes the answer.
create table sms_session (
    msisdn      text primary key,
    -- Null where none is under way.
    dialogue    jsonb,
    answered_at timestamptz not null default now(),
    lease_until timestamptz,
    lease_token bigint not null default 0
);
create index sms_session_answered on sms_session (answered_at);

-- Each time somebody agrees to offers and reminders (given) or stops them.
create table consent (
    consent_id   bigint generated always as identity primary key,
    msisdn       text not null,
    given        boolean not null,
    -- sms:africastalking …
    channel      text not null,
    -- Version of the menu files whose words they were answered in.
    text_version text not null,
    at           timestamptz not null default now()
);
create index consent_msisdn on consent (msisdn, at);
