-- Guests who wait for a room where none is free. Whose wish can be fulfilled first is held the room: a reservation like any
-- other, that the guest takes or lets run out. A wish is offered one room; then the next in line has its turn.

create table wish (
    wish_id        bigint generated always as identity primary key,
    msisdn         text not null,
    language       text not null,
    place          text not null references place,
    check_in       date not null,
    check_out      date not null check (check_out > check_in),
    guests         integer not null check (guests > 0),
    -- The acknowledged action that made it.
    turn           text not null constraint wish_turn unique,
    asked_at       timestamptz not null default now(),
    -- What was held for it.
    reservation_id uuid unique references reservation,
    -- Its day came before a room did.
    ended_at       timestamptz
);
create index wish_waiting on wish (wish_id) where reservation_id is null and ended_at is null;
create index wish_msisdn on wish (msisdn);

-- Until when a number may have a room to take: asked for when it dials, with all else that is known of it.
alter table guest add column offered_until timestamptz;

-- Outcomes: noted (now, by this turn before, or by another for the same), too_many (this number waits for p_max already).
create function add_wish(
    p_msisdn text, p_language text, p_place text, p_check_in date, p_check_out date, p_guests integer, p_turn text,
    p_max integer
) returns text language plpgsql as $$
declare
    waiting integer;
begin
    -- Two calls of one number must not both see room for one more.
    perform pg_advisory_xact_lock(hashtextextended(p_msisdn, 0));
    if exists (select from wish w where w.turn = p_turn) then
        return 'noted';
    end if;
    if exists (select from wish w where w.msisdn = p_msisdn and w.reservation_id is null and w.ended_at is null
               and (w.place, w.check_in, w.check_out, w.guests) = (p_place, p_check_in, p_check_out, p_guests)) then
        return 'noted';
    end if;
    select count(*) into waiting from wish w
    where w.msisdn = p_msisdn and w.reservation_id is null and w.ended_at is null;
    if waiting >= p_max then
        return 'too_many';
    end if;
    insert into wish (msisdn, language, place, check_in, check_out, guests, turn)
    values (p_msisdn, p_language, p_place, p_check_in, p_check_out, p_guests, p_turn);
    return 'noted';
end $$;

-- The first wish after p_after that a lodge has a room for, by the calendar's bits: what the lodge asks of a stay is for the
-- offer to tell. Not of guests who want no SMS, nor of those who sleep elsewhere by now; and nobody is woken for a stay that
-- does not begin today.
create function next_wish(p_after bigint, p_at timestamptz, p_prepaid boolean, p_from_hour integer, p_to_hour integer)
returns setof wish language sql stable as $$
    select w.* from wish w
    where w.reservation_id is null and w.ended_at is null and w.wish_id > p_after
      and not exists (select from guest g where g.msisdn = w.msisdn and g.opted_out_at is not null)
      and not exists (select from reservation r where r.msisdn = w.msisdn and takes_nights(r.status)
                      and r.check_in < w.check_out and r.check_out > w.check_in)
      and exists (
          select from property p
          join property_calendar c on c.property_id = p.property_id
          cross join lateral (select p_at at time zone p.time_zone as local) t
          where p.town = (select coalesce(l.town, l.place_id) from place l where l.place_id = w.place)
            and p.open and p.guests_max >= w.guests and (p_prepaid or p.pay = 'at_lodge')
            and substring(c.free from w.check_in - c.first_night + 1 for w.check_out - w.check_in)
                = repeat('1', w.check_out - w.check_in)::bit varying
            and w.check_in >= (t.local - interval '5 hours')::date
            and (w.check_in <= t.local::date
                 or extract(hour from t.local) >= p_from_hour and extract(hour from t.local) < p_to_hour))
    order by w.wish_id limit 1
$$;

-- Holds a room for a wish, with event and messages. Outcomes: offered, gone (it does not wait any more), taken (no room, or
-- not for such a stay), price_changed, code_taken (draw another). Only offered has written anything. Lock order: wish,
-- nights by date, guest.
create function offer_wish(
    p_wish_id bigint, p_reservation_id uuid, p_code text, p_property_id uuid, p_total bigint, p_currency text,
    p_minutes_min integer, p_at timestamptz, p_outbox jsonb
) returns text language plpgsql as $$
declare
    w       wish;
    p       property;
    prices  integer[];
    free    integer;
    why_not text;
    price   bigint;
    lines   jsonb;
    until   timestamptz;
begin
    select * into w from wish x
    where x.wish_id = p_wish_id and x.reservation_id is null and x.ended_at is null for no key update;
    if not found then
        return 'gone';
    end if;
    if exists (select from reservation r where r.code = p_code) then
        return 'code_taken';
    end if;
    select * into p from property x where x.property_id = p_property_id;
    select array_agg(night.price), count(*) filter (where night.is_free) into prices, free
    from (select night_price(a.price_base, a.surge_multiplier) as price,
                 not a.closed and a.reserved_units < a.available_units as is_free
          from property_availability a
          where a.property_id = p_property_id and a.date >= w.check_in and a.date < w.check_out
          order by a.date for no key update) night;
    select stay_restriction(p, w.check_in, w.check_out, a.min_stay, a.max_stay, a.closed_to_arrival,
                            d.closed_to_departure, p_at) into why_not
    from (values (1)) one
    left join property_availability a on a.property_id = p_property_id and a.date = w.check_in
    left join property_availability d on d.property_id = p_property_id and d.date = w.check_out;
    if not p.open or w.guests > p.guests_max or free <> w.check_out - w.check_in or why_not is not null then
        return 'taken';
    end if;
    select sum(night) into price from unnest(prices) night;
    lines := fee_lines(p.fees, price, w.check_out - w.check_in, 1, w.guests);
    price := price + fees_added(lines);
    if price <> p_total or p.currency <> p_currency then
        return 'price_changed';
    end if;

    update property_availability a set reserved_units = a.reserved_units + 1, updated_at = now()
    where a.property_id = p_property_id and a.date >= w.check_in and a.date < w.check_out;
    until := now() + make_interval(mins => greatest(p.hold_minutes, p_minutes_min));
    -- Part 1 of a turn whose part 0 nobody has: it is not counted among the holds that the guest began.
    insert into reservation (reservation_id, code, property_id, check_in, check_out, units, guests, msisdn, language,
        status, nightly_prices, total, currency, pay, cancel_hours, hold_expires_at, turn_door, turn_session,
        turn_position, turn_part, fees)
    values (p_reservation_id, p_code, p_property_id, w.check_in, w.check_out, 1, w.guests, w.msisdn, w.language,
        'held', prices, price, p.currency, p.pay, p.cancel_hours, until, 'waitlist', w.wish_id::text, 0, 1, lines);
    insert into reservation_event (reservation_id, to_status, who, channel, why)
    values (p_reservation_id, 'held', 'system', 'job', 'the guest waited for it');
    perform write_outbox(p_reservation_id, p_outbox);
    update wish set reservation_id = p_reservation_id where wish_id = p_wish_id;
    insert into guest (msisdn, offered_until) values (w.msisdn, until)
    on conflict (msisdn) do update set offered_until = excluded.offered_until;
    return 'offered';
end $$;

-- As before, and a room that was held for who waited can be paid on arrival wherever that is the way of the lodge.
create or replace function pay_at_lodge(
    p_reservation_id uuid, p_who text, p_channel text, p_turn text, p_outbox jsonb
) returns text language plpgsql as $$
declare
    r       reservation;
    allowed boolean;
begin
    select * into r from reservation where reservation_id = p_reservation_id for no key update;
    if not found then
        return 'not_found';
    end if;
    if exists (select from reservation_event e where e.turn = p_turn) then
        return 'again';
    end if;
    select p.pay_at_lodge_too or r.pay = 'at_lodge' into allowed from property p where p.property_id = r.property_id;
    if not allowed or r.status <> 'held' or r.hold_expires_at <= now() then
        return 'not_allowed';
    end if;
    update reservation set pay = 'at_lodge' where reservation_id = p_reservation_id;
    return move_reservation(p_reservation_id, 'confirmed', p_who, p_channel, 'pays on arrival', p_turn, p_outbox);
end $$;
