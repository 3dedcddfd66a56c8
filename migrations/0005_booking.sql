-- Reserve, cancel and expire, each one call: a lock is held for one round trip to the disk, never for one over the
-- network. Lock order everywhere: the guest, the reservation, its nights by (property, date) ascending.

-- A reservation with what the guest and the host are told about it.
create view reservation_shown as
select r.reservation_id, r.code, r.property_id, p.name as property_name, p.phone as property_phone, p.landmark,
       t.name as town, h.msisdn as host_msisdn, h.language as host_language, r.check_in, r.check_out, r.units,
       r.guests, r.msisdn, r.guest_msisdn, r.guest_name, r.language, r.status, r.total, r.currency, r.pay,
       p.check_in_time, r.cancel_hours, r.hold_expires_at, p.time_zone, r.turn_door, r.turn_session, r.turn_position
from reservation r
join property p on p.property_id = r.property_id
join host h on h.host_id = p.host_id
join place t on t.place_id = p.town;

-- Takes all nights of the stay or none. Outcomes: made, again (this turn has made it before), taken, price_changed
-- (price_now is the total now), too_many (unpaid holds of this number). Nothing is written unless it is made.
create function reserve(
    p_reservation_id uuid, p_code text, p_property_id uuid, p_check_in date, p_check_out date, p_units integer,
    p_guests integer, p_msisdn text, p_guest_msisdn text, p_guest_name text, p_language text,
    p_total_shown bigint, p_currency text, p_door text, p_session text, p_position integer,
    p_who text, p_channel text, p_why text, p_outbox jsonb, p_holds_max integer
) returns table (outcome text, price_now bigint, shown reservation_shown) language plpgsql as $$
declare
    nights      constant integer := p_check_out - p_check_in;
    home        property;
    free_nights integer;
    prices      integer[];
    first_state text;
begin
    select v.* into shown from reservation_shown v
    where v.turn_door = p_door and v.turn_session = p_session and v.turn_position = p_position;
    if found then
        outcome := 'again';
        return next;
        return;
    end if;

    <<decide>>
    begin
        outcome := 'taken';
        select p.* into home from property p
        where p.property_id = p_property_id and p.open and p_guests <= p.guests_max * p_units;
        exit decide when not found;

        -- Sold out is the common case of a rush: look before locking.
        select count(*) into free_nights from property_availability a
        where a.property_id = p_property_id and a.date >= p_check_in and a.date < p_check_out
          and a.reserved_units + p_units <= a.available_units;
        exit decide when free_nights <> nights;

        if home.pay = 'prepay' then
            -- Two calls of one number on two properties must not both see one hold.
            perform pg_advisory_xact_lock(hashtextextended(p_msisdn, 0));
        end if;

        -- NO KEY: the foreign-key checks of others need not wait.
        select count(*) filter (where locked.free), array_agg(locked.price order by locked.date),
               sum(locked.price) * p_units
        into free_nights, prices, price_now
        from (select a.date, a.reserved_units + p_units <= a.available_units as free,
                     night_price(a.price_base, a.surge_multiplier) as price
              from property_availability a
              where a.property_id = p_property_id and a.date >= p_check_in and a.date < p_check_out
              order by a.date for no key update) locked;
        exit decide when free_nights <> nights;

        outcome := 'price_changed';
        exit decide when price_now <> p_total_shown or home.currency <> p_currency;

        outcome := 'too_many';
        exit decide when home.pay = 'prepay' and p_holds_max <= (
            select count(*) from reservation r
            where r.msisdn = p_msisdn and r.status in ('held', 'paying') and r.hold_expires_at > now());

        outcome := 'made';
    end;

    -- The twin of this call may have gone first while this one waited, and be the reason that nothing is left.
    select v.* into shown from reservation_shown v
    where v.turn_door = p_door and v.turn_session = p_session and v.turn_position = p_position;
    if found then
        outcome := 'again';
    end if;
    if outcome <> 'made' then
        return next;
        return;
    end if;

    update property_availability a set reserved_units = a.reserved_units + p_units, updated_at = now()
    where a.property_id = p_property_id and a.date >= p_check_in and a.date < p_check_out;

    first_state := case home.pay when 'prepay' then 'held' else 'confirmed' end;
    insert into reservation (reservation_id, code, property_id, check_in, check_out, units, guests, msisdn,
        guest_msisdn, guest_name, language, status, nightly_prices, total, currency, pay, cancel_hours,
        hold_expires_at, turn_door, turn_session, turn_position)
    values (p_reservation_id, p_code, p_property_id, p_check_in, p_check_out, p_units, p_guests, p_msisdn,
        p_guest_msisdn, p_guest_name, p_language, first_state, prices, price_now, home.currency, home.pay,
        home.cancel_hours,
        case home.pay when 'prepay' then now() + make_interval(mins => home.hold_minutes) end,
        p_door, p_session, p_position);
    insert into reservation_event (reservation_id, to_status, who, channel, why)
    values (p_reservation_id, first_state, p_who, p_channel, p_why);
    perform write_outbox(p_reservation_id, p_outbox);

    select v.* into shown from reservation_shown v where v.reservation_id = p_reservation_id;
    return next;
end $$;

-- Cancels unless it is too late (a paid or confirmed stay near check-in, or one that has begun), and gives the
-- nights back once. Outcomes: done, too_late, already_cancelled (its nights went back before), not_found.
create function cancel_reservation(
    p_reservation_id uuid, p_at timestamptz, p_who text, p_channel text, p_why text, p_outbox jsonb
) returns table (outcome text, shown reservation_shown) language plpgsql as $$
declare
    r     reservation;
    until timestamptz;
begin
    select * into r from reservation where reservation_id = p_reservation_id for no key update;
    if not found then
        outcome := 'not_found';
        return next;
        return;
    end if;
    select (r.check_in + p.check_in_time) at time zone p.time_zone - make_interval(hours => r.cancel_hours)
    into until from property p where p.property_id = r.property_id;
    outcome := case
        when r.status in ('cancelled', 'expired', 'refund_due', 'refunded') then 'already_cancelled'
        when r.status = 'held' or (r.status = 'confirmed' and p_at <= until) then 'done'
        else 'too_late'
    end;
    if outcome = 'done' then
        perform give_nights_back(array[p_reservation_id]);
        update reservation set status = 'cancelled' where reservation_id = p_reservation_id;
        insert into reservation_event (reservation_id, from_status, to_status, who, channel, why)
        values (p_reservation_id, r.status, 'cancelled', p_who, p_channel, p_why);
        perform write_outbox(p_reservation_id, p_outbox);
    end if;
    select v.* into shown from reservation_shown v where v.reservation_id = p_reservation_id;
    return next;
end $$;

-- Ends up to p_limit holds whose time is over and says how many. Holds that another sweeper or a payment has
-- locked are left to it.
create function expire_holds(p_limit integer) returns bigint language plpgsql as $$
declare
    due uuid[];
begin
    select array_agg(locked.reservation_id) into due
    from (select r.reservation_id from reservation r
          where r.status = 'held' and r.hold_expires_at <= now()
          order by r.hold_expires_at limit p_limit for no key update skip locked) locked;
    if due is null then
        return 0;
    end if;
    perform give_nights_back(due);
    update reservation set status = 'expired' where reservation_id = any (due);
    insert into reservation_event (reservation_id, from_status, to_status, who, channel, why)
    select unnest(due), 'held', 'expired', 'system', 'job', 'the hold ran out';
    return cardinality(due);
end $$;

-- The caller holds the reservations' locks and changes their state in the same transaction.
create function give_nights_back(p_reservation_ids uuid[]) returns void language plpgsql as $$
declare
    night record;
begin
    -- One update a night, in lock order; each prunes to its month, which a join on dates would not.
    for night in
        select r.property_id, d::date as date, sum(r.units) as units
        from reservation r
        cross join lateral generate_series(r.check_in::timestamp, r.check_out - interval '1 day', '1 day') d
        where r.reservation_id = any (p_reservation_ids)
        group by 1, 2 order by 1, 2
    loop
        update property_availability a set reserved_units = a.reserved_units - night.units, updated_at = now()
        where a.property_id = night.property_id and a.date = night.date;
    end loop;
end $$;

-- In plpgsql, which keeps the plan; a function in SQL would plan its INSERT on every call.
create function write_outbox(p_reservation_id uuid, p_outbox jsonb) returns void language plpgsql as $$
begin
    insert into outbox (reservation_id, kind, msisdn, text, expires_at)
    select p_reservation_id, d.kind, d.msisdn, d.text, d.expires_at
    from jsonb_to_recordset(p_outbox) as d (kind text, msisdn text, text text, expires_at timestamptz)
    on conflict do nothing;
end $$;
