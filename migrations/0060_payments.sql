-- Money by phone. A prompt is asked for in the turn that wants it and sent afterwards; what came is written before it is
-- acknowledged; where it stands is a row of the ledger. Lock order: payment, reservation, its nights.

alter table property
    -- Of the total, what a guest may pay first and the rest at the lodge; 0: no deposit, all or nothing.
    add column deposit_percent smallint not null default 0 check (deposit_percent between 0 and 99),
    -- Whether a lodge that wants money first also takes a guest who pays on arrival.
    add column pay_at_lodge_too boolean not null default false;

alter table reservation
    -- In minor units: what has come for it and was not sent back, and what has to come before it is confirmed.
    add column paid   bigint not null default 0 check (paid >= 0),
    add column to_pay bigint check (to_pay > 0);

-- One try to make a phone ask for the PIN. attempt_id is our key at providers that take one.
create table payment_attempt (
    attempt_id     uuid primary key,
    reservation_id uuid not null references reservation,
    provider       text not null,
    msisdn         text not null,
    amount         bigint not null check (amount > 0),
    currency       text not null,
    -- Names the attempt in the URL of its callback; nobody can guess it.
    secret         text not null unique,
    turn           text not null unique,
    status         text not null default 'due' check (status in ('due', 'prompting', 'pending', 'paid', 'failed')),
    failure        text,
    reason         text,
    provider_id    text,
    -- A callback said so; it is believed when the provider, asked, says the same.
    heard_receipt  text,
    heard_paid     boolean not null default false,
    asked          integer not null default 0,
    due_at         timestamptz not null,
    lease_token    bigint not null default 0,
    prompted_at    timestamptz,
    alarmed_at     timestamptz,
    created_at     timestamptz not null default now(),
    unique (provider, provider_id)
);
create index payment_attempt_due on payment_attempt (due_at) where status in ('due', 'prompting', 'pending');
create unique index payment_attempt_open on payment_attempt (reservation_id)
    where status in ('due', 'prompting', 'pending');
create index payment_attempt_reservation on payment_attempt (reservation_id, created_at);

-- What providers posted, as it came; never changed but for what became of it, never deleted by the service.
create table payment_callback (
    callback_id bigint generated always as identity primary key,
    provider    text not null,
    door        text not null,
    secret      text,
    body        bytea not null,
    received_at timestamptz not null default now(),
    applied_at  timestamptz,
    outcome     text
);
create index payment_callback_waiting on payment_callback (received_at) where applied_at is null;

-- Money that came. The provider's receipt is unique for all time; a query that says "paid" brings none, the callback or
-- the pay bill's own notice does.
create table payment (
    payment_id     uuid primary key,
    provider       text not null,
    receipt        text,
    attempt_id     uuid unique references payment_attempt,
    reservation_id uuid references reservation,
    -- What the payer typed, of a payment by hand.
    reference      text not null default '',
    amount         bigint not null check (amount > 0),
    currency       text not null,
    paid_at        timestamptz not null,
    -- Of an unallocated payment that two people have to agree on: the booking code, and who proposed it.
    proposed_code  text,
    proposed_by    text,
    created_at     timestamptz not null default now(),
    unique (provider, receipt)
);
create index payment_reservation on payment (reservation_id) where reservation_id is not null;

-- One row moves an amount from one account to another, so that every row balances by itself:
--   paid -> unallocated -> applied -> refund_due -> refunded, and unallocated -> refund_due
create table ledger (
    ledger_id      bigint generated always as identity primary key,
    payment_id     uuid not null references payment,
    reservation_id uuid references reservation,
    debit          text not null check (debit in ('paid', 'unallocated', 'applied', 'refund_due')),
    credit         text not null check (credit in ('unallocated', 'applied', 'refund_due', 'refunded')),
    amount         bigint not null check (amount > 0),
    currency       text not null,
    why            text not null,
    at             timestamptz not null default now(),
    check ((debit, credit) in (('paid', 'unallocated'), ('unallocated', 'applied'), ('unallocated', 'refund_due'),
                               ('applied', 'refund_due'), ('refund_due', 'refunded')))
);
create index ledger_payment on ledger (payment_id);
create index ledger_reservation on ledger (reservation_id) where reservation_id is not null;

create function ledger_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'the ledger is only added to' using errcode = 'restrict_violation';
end $$;
create trigger ledger_append_only before update or delete on ledger
    for each row execute function ledger_is_append_only();

-- Money to go back. Asked for by the service or a person, approved by another, sent by a job or by hand.
create table refund (
    refund_id      uuid primary key default gen_random_uuid(),
    payment_id     uuid not null references payment,
    reservation_id uuid references reservation,
    amount         bigint not null check (amount > 0),
    currency       text not null,
    why            text not null,
    status         text not null default 'requested'
                   check (status in ('requested', 'approved', 'sending', 'sent', 'done', 'refused')),
    requested_by   text not null,
    approved_by    text,
    second_by      text,
    provider_id    text,
    receipt        text,
    reason         text,
    due_at         timestamptz,
    lease_token    bigint not null default 0,
    created_at     timestamptz not null default now(),
    ended_at       timestamptz,
    check (approved_by <> requested_by),
    check (second_by not in (approved_by, requested_by))
);
create index refund_due on refund (due_at) where status in ('approved', 'sending', 'sent');
create index refund_payment on refund (payment_id);
create unique index refund_provider_id on refund (provider_id) where provider_id is not null;

-- What of a total a guest may pay first, whole units of the currency, rounded up.
create function deposit_of(p_total bigint, p_percent smallint, p_minor_per_unit integer) returns bigint
language sql immutable parallel safe
return least(p_total, (p_total * p_percent + 100 * p_minor_per_unit - 1) / (100 * p_minor_per_unit) * p_minor_per_unit);

-- What of a payment stands in an account.
create function ledger_balance(p_payment_id uuid, p_account text) returns bigint language sql stable
return (select coalesce(sum(case p_account when l.credit then l.amount when l.debit then -l.amount else 0 end), 0)::bigint
        from ledger l where l.payment_id = p_payment_id);
