-- A payment by hand is told of without a signature: whoever knows the URL can tell of one that never was. So what is told is
-- a claim, and becomes money only once the provider, asked for the receipt, says the same, or lists it in its statement.

create table payment_claim (
    claim_id    uuid primary key default gen_random_uuid(),
    provider    text not null,
    receipt     text not null,
    -- What the payer typed.
    reference   text not null,
    amount      bigint not null check (amount > 0),
    currency    text not null,
    paid_at     timestamptz not null,
    -- Names the claim in the URL of the provider's answer; nobody can guess it.
    secret      text not null unique,
    -- open; proven: it is money; another: the provider knows another sum or payee; forged: it knows of none;
    -- unanswered: it did not tell for a day.
    status      text not null default 'open' check (status in ('open', 'proven', 'another', 'forged', 'unanswered')),
    reason      text,
    asked       integer not null default 0,
    due_at      timestamptz not null default now(),
    lease_token bigint not null default 0,
    created_at  timestamptz not null default now(),
    ended_at    timestamptz,
    unique (provider, receipt, reference, amount, currency)
);
create index payment_claim_due on payment_claim (due_at) where status = 'open';
create index payment_claim_doubtful on payment_claim (created_at) where status <> 'proven';
