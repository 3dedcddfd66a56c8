-- Reservations, the history of each, and the guests who make them.

create table guest (
    msisdn        text primary key,
    language      text,
    name          text,
    recent_places text[] not null default '{}',
    opted_out_at  timestamptz,
    seen_at       timestamptz not null default now()
);

-- (turn_door, turn_session, turn_position) names the acknowledged action that made the reservation:
-- the same action repeated, on any instance and after any crash, finds the row it already made.
create table reservation (
    reservation_id  uuid primary key,
    code            text not null constraint reservation_code unique,
    property_id     uuid not null references property,
    check_in        date not null,
    check_out       date not null check (check_out > check_in),
    units           integer not null default 1 check (units > 0),
    guests          integer not null check (guests > 0),
    msisdn          text not null,
    guest_msisdn    text,
    guest_name      text not null default '',
    language        text not null,
    status          text not null,
    nightly_prices  integer[] not null,
    total           bigint not null check (total > 0),
    currency        text not null,
    pay             text not null,
    cancel_hours    integer not null,
    hold_expires_at timestamptz,
    turn_door       text not null,
    turn_session    text not null,
    turn_position   integer not null,
    created_at      timestamptz not null default now(),
    constraint reservation_turn unique (turn_door, turn_session, turn_position),
    check (status in ('held', 'paying', 'confirmed', 'checked_in', 'completed',
                      'expired', 'cancelled', 'no_show', 'refund_due', 'refunded')),
    check ((status in ('held', 'paying')) <= (hold_expires_at is not null))
);
create index reservation_msisdn on reservation (msisdn, check_in);
create index reservation_guest_msisdn on reservation (guest_msisdn, check_in) where guest_msisdn is not null;
create index reservation_property on reservation (property_id, check_in);
create index reservation_hold on reservation (hold_expires_at) where status in ('held', 'paying');

create table reservation_event (
    reservation_event_id bigint generated always as identity primary key,
    reservation_id       uuid not null references reservation,
    at                   timestamptz not null default now(),
    from_status          text,
    to_status            text not null,
    who                  text not null,
    channel              text not null,
    why                  text not null
);
create index reservation_event_reservation on reservation_event (reservation_id);

create function reservation_events_are_kept() returns trigger language plpgsql as $$
begin
    raise exception 'reservation_event is append-only';
end $$;
create trigger reservation_event_append_only before update or delete on reservation_event
    for each row execute function reservation_events_are_kept();
