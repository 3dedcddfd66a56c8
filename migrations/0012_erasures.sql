-- Numbers that asked to be forgotten. A row stays a while after it is done, to be applied again to a restored backup.

create table erasure (
    erasure_id bigint generated always as identity primary key,
    msisdn     text not null,
    channel    text not null,
    asked_at   timestamptz not null default now(),
    due_at     timestamptz not null,
    done_at    timestamptz
);
create unique index erasure_asked on erasure (msisdn) where done_at is null;
create index erasure_due on erasure (due_at) where done_at is null;

-- The history of a reservation is kept as it is, but for the name of a turn, which tells the number of who took it.
create or replace function reservation_events_are_kept() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' and to_jsonb(new) - 'turn' = to_jsonb(old) - 'turn' and to_jsonb(new) ->> 'turn' is null then
        return new;
    end if;
    raise exception 'reservation_event is append-only';
end $$;
