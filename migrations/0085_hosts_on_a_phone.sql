-- Hosts by USSD: a PIN of their own, what they change of their nights, and nights on which fewer rooms can be slept in than
-- are sold.

create table host_pin (
    host_id      uuid primary key references host,
    -- Argon2id; null until the first one is set.
    hash         text,
    -- Chosen, and to be typed once more.
    next_hash    text,
    -- Of the code sent by SMS: who types it may choose a PIN, from code_from until code_until.
    code_hash    text,
    code_from    timestamptz,
    code_until   timestamptz,
    -- When the codes of the last day were sent.
    codes_sent   timestamptz[] not null default '{}',
    -- Until when a PIN may be chosen.
    choose_until timestamptz,
    -- Wrong PINs and codes since the last right one, and the turn counted last.
    tries        integer not null default 0,
    tries_turn   text,
    locked_until timestamptz
);

-- Counts a try before it is looked at, so that many at once are no more than a few. The same turn counts once. No row:
-- locked.
create function take_pin_try(p_host_id uuid, p_at timestamptz, p_turn text, p_tries_max integer)
returns setof host_pin language plpgsql as $$
begin
    insert into host_pin (host_id) values (p_host_id) on conflict do nothing;
    return query update host_pin p
        set tries = p.tries + case when p.tries_turn is distinct from p_turn then 1 else 0 end, tries_turn = p_turn
        where p.host_id = p_host_id and (p.locked_until is null or p.locked_until <= p_at)
          and (p.tries < p_tries_max or p.tries_turn = p_turn)
        returning p.*;
end $$;

-- Sends a code unless this turn has sent one. Outcomes: sent, again, too_often.
create function send_pin_code(
    p_host_id uuid, p_at timestamptz, p_hash text, p_from timestamptz, p_until timestamptz, p_per_day_max integer,
    p_turn text, p_outbox jsonb
) returns text language plpgsql as $$
declare
    pin  host_pin;
    sent timestamptz[];
begin
    insert into host_pin (host_id) values (p_host_id) on conflict do nothing;
    select * into pin from host_pin h where h.host_id = p_host_id for update;
    if exists (select from outbox o where o.turn = p_turn) then
        return 'again';
    end if;
    sent := array(select s from unnest(pin.codes_sent) s where s > p_at - interval '1 day');
    if cardinality(sent) >= p_per_day_max then
        return 'too_often';
    end if;
    update host_pin h set code_hash = p_hash, code_from = p_from, code_until = p_until, codes_sent = sent || p_at,
        choose_until = null, next_hash = null
    where h.host_id = p_host_id;
    insert into outbox (turn, kind, msisdn, text, expires_at)
    select p_turn, d.kind, d.msisdn, d.text, d.expires_at
    from jsonb_to_recordset(p_outbox) as d (kind text, msisdn text, text text, expires_at timestamptz);
    return 'sent';
end $$;

-- Wrong booking codes also count for the lodge that they were tried at.
alter table wrong_code add column host_id uuid references host;
create index wrong_code_host on wrong_code (host_id, at);

-- The change that caused an event: repeated, it finds what it did.
alter table host_event add column turn text;
create index host_event_turn on host_event (turn) where turn is not null;

-- Rooms sold on a night beyond those that can be slept in. available_units stays at what is sold then, so that nothing more
-- is sold; all rooms of the lodge are available_units + out_of_service - overbooked.
alter table property_availability
    add column overbooked integer not null default 0,
    add constraint overbooked_is_full check (overbooked >= 0 and (overbooked = 0 or available_units = reserved_units));

-- Who looks after it is told by /private/overbookings.
create table overbooking (
    property_id uuid not null references property,
    date        date not null,
    -- How many bookings have no room.
    missing     integer not null,
    since       timestamptz not null default now(),
    settled_at  timestamptz
);
create unique index overbooking_open on overbooking (property_id, date) where settled_at is null;

-- A booking given back, or a room that can be slept in again, is first of all one fewer without a room.
create function overbooked_gets_less() returns trigger language plpgsql as $$
declare
    less integer := least(old.overbooked, new.available_units - new.reserved_units);
begin
    new.overbooked := old.overbooked - less;
    new.available_units := new.available_units - less;
    return new;
end $$;
create trigger overbooked_gets_less before update on property_availability for each row
    when (old.overbooked > 0 and new.overbooked = old.overbooked and new.available_units > new.reserved_units)
    execute function overbooked_gets_less();

create function note_overbooking() returns trigger language plpgsql as $$
begin
    if new.overbooked = 0 then
        update overbooking o set settled_at = now(), missing = 0
        where o.property_id = new.property_id and o.date = new.date and o.settled_at is null;
    else
        insert into overbooking (property_id, date, missing) values (new.property_id, new.date, new.overbooked)
        on conflict (property_id, date) where settled_at is null do update set missing = excluded.missing;
    end if;
    return null;
end $$;
create trigger note_overbooking after update on property_availability for each row
    when (old.overbooked <> new.overbooked) execute function note_overbooking();

-- A night after a host's change. What may be changed: close, open, free (rooms that can be booked), out_of_service, price
-- (of one room, in minor units).
create function changed_night(night property_availability, p_what text, p_value integer) returns property_availability
language plpgsql immutable as $$
declare
    rooms integer := night.available_units + night.out_of_service - night.overbooked;
begin
    case p_what
        when 'close' then night.closed := true;
        when 'open' then night.closed := false;
        when 'free' then
            night.available_units := night.reserved_units + p_value;
            night.overbooked := 0;
            night.own_units := true;
            night.closed := night.closed and p_value = 0;
        when 'out_of_service' then
            night.out_of_service := least(p_value, rooms);
            night.overbooked := greatest(0, night.reserved_units - (rooms - night.out_of_service));
            night.available_units := greatest(night.reserved_units, rooms - night.out_of_service);
            night.own_units := night.own_units or night.overbooked > 0;
        when 'price' then
            night.price_base := p_value;
            night.surge_multiplier := 1;
            night.own_price := true;
    end case;
    return night;
end $$;

-- What a host is told of a night before and after.
create function told_of_night(night property_availability, p_what text) returns integer language sql immutable
return case p_what
    when 'price' then night_price((night).price_base, (night).surge_multiplier)
    when 'out_of_service' then (night).out_of_service
    else case when (night).closed then 0 else (night).available_units - (night).reserved_units end
end;

-- A host's change of nights, the last one included; of one property, or of all where p_property_id is null. One row a
-- night, with what is told before and after, and `short`: bookings that have no room then (out_of_service), or rooms more
-- than the lodge has (free). Where any night is short nothing is written, unless the host insists that rooms are out of
-- service. Without a turn nothing is written in any case. The same turn again is told what it did.
drop function close_night;
create function change_nights(
    p_host_id uuid, p_property_id uuid, p_from date, p_until date, p_what text, p_value integer, p_insists boolean,
    p_channel text, p_turn text
) returns table (property_id uuid, date date, before integer, after integer, short integer, sold integer)
language plpgsql as $$
declare
    homes constant uuid[] := array(select p.property_id from property p where p.host_id = p_host_id
                                   and (p_property_id is null or p.property_id = p_property_id) order by 1);
    night   property_availability;
    changed property_availability;
    refused boolean := false;
begin
    if p_turn is not null then
        perform from host h where h.host_id = p_host_id for no key update;
        if exists (select from host_event e where e.turn = p_turn) then
            return query
                select e.property_id, e.date, e.before, e.after, 0, a.reserved_units
                from host_event e
                join property_availability a on a.property_id = e.property_id and a.date = e.date
                where e.turn = p_turn and e.what = p_what order by e.property_id, e.date;
            return;
        end if;
        perform changed_by('host', p_channel);
        -- All nights before the first calendar.
        perform from property_availability a
        where a.property_id = any (homes) and a.date >= p_from and a.date <= p_until
        order by a.property_id, a.date for no key update;
    end if;
    for night in
        select a.* from property_availability a
        where a.property_id = any (homes) and a.date >= p_from and a.date <= p_until
        order by a.property_id, a.date
    loop
        changed := changed_night(night, p_what, p_value);
        property_id := night.property_id;
        date := night.date;
        before := told_of_night(night, p_what);
        after := told_of_night(changed, p_what);
        sold := night.reserved_units;
        short := case p_what
            when 'out_of_service' then changed.overbooked
            when 'free' then greatest(0, changed.available_units - greatest(
                night.available_units + night.out_of_service - night.overbooked,
                (select p.units from property p where p.property_id = night.property_id)))
            else 0
        end;
        refused := refused or short > 0 and not (p_insists and p_what = 'out_of_service');
        return next;
    end loop;
    if refused or p_turn is null then
        return;
    end if;
    for night in
        select a.* from property_availability a
        where a.property_id = any (homes) and a.date >= p_from and a.date <= p_until
        order by a.property_id, a.date
    loop
        changed := changed_night(night, p_what, p_value);
        continue when changed is not distinct from night;
        update property_availability a
        set closed = changed.closed, available_units = changed.available_units, overbooked = changed.overbooked,
            out_of_service = changed.out_of_service, own_units = changed.own_units, price_base = changed.price_base,
            surge_multiplier = changed.surge_multiplier, own_price = changed.own_price, updated_at = now()
        where a.property_id = night.property_id and a.date = night.date;
        insert into host_event (host_id, property_id, channel, what, date, before, after, turn)
        select p_host_id, night.property_id, p_channel, e.what, night.date, e.before, e.after, p_turn
        from (values (p_what, told_of_night(night, p_what), told_of_night(changed, p_what)),
                     ('overbooked', night.overbooked, changed.overbooked)) as e (what, before, after)
        where e.what = p_what or e.before <> e.after;
    end loop;
end $$;

-- A change that a host asked for by SMS and has not said yes to. The number is sent to the host's own phone: who only
-- writes in its name does not have it.
create table host_wish (
    host_id uuid primary key references host,
    number  text not null,
    wish    jsonb not null,
    until   timestamptz not null
);
