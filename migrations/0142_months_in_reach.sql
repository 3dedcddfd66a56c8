-- Reserving as before, and what a statement costs does not grow with the months of the calendar.
create or replace function reserve_batch(
    p_ids uuid[], p_codes text[], p_property_ids uuid[], p_check_ins date[], p_check_outs date[], p_units integer[],
    p_guests integer[], p_msisdns text[], p_guest_msisdns text[], p_guest_names text[], p_languages text[],
    p_totals bigint[], p_currencies text[], p_doors text[], p_sessions text[], p_positions integer[],
    p_parts integer[], p_whos text[], p_channels text[], p_whys text[], p_ats timestamptz[], p_outboxes jsonb[],
    p_holds_max integer, p_starts_max integer, p_unpaid_max integer
) returns table (outcome text, price_now bigint, restriction text, shown reservation_shown)
language plpgsql
-- The plans never change with the parameters, and are kept: each table is reached by its key.
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_material = off
set lock_timeout = '1s'
as $$
declare
    total        constant integer := cardinality(p_ids);
    outcomes     text[];
    restrictions text[];
    made_ids     uuid[] := p_ids;
    prices_now   bigint[] := array_fill(null::bigint, array[total]);
    fees         jsonb[];
    prepaid      boolean[];
    currencies   text[];
    percents     integer[];
    strangers    boolean[] := array_fill(false, array[total]);
    firsts       integer[] := array_fill(null::integer, array[total]);
    -- One element for each locked night, in lock order.
    homes        uuid[];
    dates        date[];
    units        integer[];
    free         integer[];
    prices       integer[];
    strange      integer[];
    taken        integer[];
    head         integer;
    nights       integer;
    first        integer;
    price        bigint;
    row          record;
    -- Months out of reach are left out of each statement before it begins.
    from_date    constant date := (select min(day) from unnest(p_check_ins) day);
    to_date      constant date := (select max(day) from unnest(p_check_outs) day);
begin
    -- Sold out is the common case of a rush: look before locking.
    select array_agg(look.outcome), array_agg(look.restriction), array_agg(look.fees), array_agg(look.prepaid),
           array_agg(look.currency), array_agg(look.unpaid_percent)
    into outcomes, restrictions, fees, prepaid, currencies, percents
    from (
        select case
                   when p.property_id is null or not p.open or u.guests > p.guests_max * u.units
                        or u.check_in < (u.at at time zone p.time_zone)::date - 1 then 'taken'
                   when r.restriction is not null then 'restricted'
                   when a.free_nights <> u.check_out - u.check_in then 'taken'
               end as outcome,
               r.restriction, p.fees, p.pay = 'prepay' as prepaid, p.currency, p.unpaid_percent
        from unnest(p_property_ids, p_check_ins, p_check_outs, p_units, p_guests, p_ats) with ordinality
             as u (property_id, check_in, check_out, units, guests, at, n)
        left join property p on p.property_id = u.property_id
        cross join lateral (
            select count(*) filter (where not a.closed and a.reserved_units + u.units <= a.available_units
                                      and a.date < u.check_out) as free_nights,
                   min(a.min_stay) filter (where a.date = u.check_in) as min_stay,
                   max(a.max_stay) filter (where a.date = u.check_in) as max_stay,
                   bool_or(a.closed_to_arrival) filter (where a.date = u.check_in) as no_arrival,
                   bool_or(a.closed_to_departure) filter (where a.date = u.check_out) as no_departure
            from property_availability a
            where a.property_id = u.property_id and a.date >= u.check_in and a.date <= u.check_out
              and a.date >= from_date and a.date <= to_date
        ) a
        cross join lateral (
            select stay_restriction(p, u.check_in, u.check_out, a.min_stay, a.max_stay, a.no_arrival, a.no_departure,
                                    u.at) as restriction
        ) r
        order by u.n
    ) look;

    if true = any (prepaid) then
        -- Two calls of one number on two properties must not both see one hold.
        perform pg_advisory_xact_lock(guest.lock)
        from (select distinct hashtextextended(u.msisdn, 0) as lock
              from unnest(p_msisdns, prepaid, outcomes) as u (msisdn, prepaid, outcome)
              where u.prepaid and u.outcome is null order by 1) guest;
    end if;

    -- NO KEY: the foreign-key checks of others need not wait.
    select array_agg(night.property_id), array_agg(night.date), array_agg(night.available_units),
           array_agg(night.free), array_agg(night.price), array_agg(0), array_agg(0)
    into homes, dates, units, free, prices, strange, taken
    from (select a.property_id, a.date, a.available_units, night_price(a.price_base, a.surge_multiplier) as price,
                 case when a.closed then 0 else a.available_units - a.reserved_units end as free
          from (select distinct u.property_id, u.check_in + d.day as date
                from unnest(p_property_ids, p_check_ins, p_check_outs, outcomes)
                     as u (property_id, check_in, check_out, outcome)
                cross join lateral generate_series(0, u.check_out - u.check_in - 1) as d (day)
                where u.outcome is null) wanted
          join property_availability a on a.property_id = wanted.property_id and a.date = wanted.date
               and a.date >= from_date and a.date <= to_date
          order by a.property_id, a.date
          for no key update of a) night;

    -- After the locks: the twin of a call may have gone first while this one waited, and be the reason that nothing
    -- is left.
    for row in
        select u.n, r.reservation_id
        from unnest(p_doors, p_sessions, p_positions, p_parts) with ordinality as u (door, session, position, part, n)
        join reservation r on r.turn_door = u.door and r.turn_session = u.session and r.turn_position = u.position
                          and r.turn_part = u.part
    loop
        outcomes[row.n] := 'again';
        made_ids[row.n] := row.reservation_id;
    end loop;
    for row in
        select u.n from unnest(p_codes, outcomes) with ordinality as u (code, outcome, n)
        join reservation r on r.code = u.code
        where u.outcome is null
    loop
        outcomes[row.n] := 'code_taken';
    end loop;

    if true = any (prepaid) then
        for row in
            select u.n, h.held, h.begun, h.left_unpaid, h.stayed
            from unnest(p_msisdns, prepaid, outcomes) with ordinality as u (msisdn, prepaid, outcome, n)
            cross join lateral (
                select count(*) filter (where r.turn_part = 0 and r.status in ('held', 'paying')
                           and r.hold_expires_at > now()) as held,
                       count(*) filter (where r.turn_part = 0 and r.hold_expires_at is not null
                           and r.status in ('held', 'paying', 'expired', 'cancelled')
                           and r.created_at > now() - interval '1 day') as begun,
                       count(*) filter (where r.turn_part = 0 and r.status = 'expired'
                           and r.created_at > now() - interval '7 days') as left_unpaid,
                       coalesce(bool_or(r.status in ('checked_in', 'completed')), false) as stayed
                from reservation r where r.msisdn = u.msisdn
            ) h
            where u.prepaid and u.outcome is null
        loop
            strangers[row.n] := not row.stayed;
            if row.held >= p_holds_max then
                outcomes[row.n] := 'too_many';
            elsif row.begun >= p_starts_max or row.left_unpaid >= p_unpaid_max then
                outcomes[row.n] := 'too_often';
            end if;
        end loop;
        for row in
            select s.n, sum(r.units) as units
            from unnest(homes, dates) with ordinality as s (property_id, date, n)
            join reservation r on r.property_id = s.property_id and r.check_in <= s.date and r.check_out > s.date
            where r.status in ('held', 'paying') and r.hold_expires_at > now() and r.stranger
            group by s.n
        loop
            strange[row.n] := row.units;
        end loop;
    end if;

    for i in 1 .. total loop
        if p_parts[i] = 0 then
            head := i;
        end if;
        if outcomes[i] is null then
            nights := p_check_outs[i] - p_check_ins[i];
            first := array_position(dates, p_check_ins[i], array_position(homes, p_property_ids[i]));
            outcomes[i] := 'taken';
            if first is not null and homes[first + nights - 1] = p_property_ids[i] and homes[first] = p_property_ids[i]
               and dates[first + nights - 1] = p_check_outs[i] - 1 then
                outcomes[i] := 'made';
                price := 0;
                for slot in first .. first + nights - 1 loop
                    price := price + prices[slot];
                    if free[slot] < p_units[i] or strangers[i]
                       and strange[slot] + p_units[i] > greatest(1, units[slot] * percents[i] / 100) then
                        outcomes[i] := 'taken';
                        exit;
                    end if;
                end loop;
            end if;
            if outcomes[i] = 'made' then
                price := price * p_units[i];
                if fees[i] <> '[]' then
                    fees[i] := fee_lines(fees[i], price, nights, p_units[i], p_guests[i]);
                    price := price + fees_added(fees[i]);
                end if;
                prices_now[i] := price;
                if price <> p_totals[i] or currencies[i] <> p_currencies[i] then
                    outcomes[i] := 'price_changed';
                end if;
            end if;
            if outcomes[i] = 'made' then
                firsts[i] := first;
                for slot in first .. first + nights - 1 loop
                    free[slot] := free[slot] - p_units[i];
                    taken[slot] := taken[slot] + p_units[i];
                    if strangers[i] then
                        strange[slot] := strange[slot] + p_units[i];
                    end if;
                end loop;
            end if;
        end if;
        -- All parts of a turn or none: the last one settles it.
        if (i = total or p_parts[i + 1] = 0) and head < i and exists (
            select from unnest(outcomes[head : i]) o where o not in ('made', 'again')) then
            for part in head .. i loop
                continue when outcomes[part] <> 'made';
                outcomes[part] := 'with_others';
                for slot in firsts[part] .. firsts[part] + (p_check_outs[part] - p_check_ins[part]) - 1 loop
                    free[slot] := free[slot] + p_units[part];
                    taken[slot] := taken[slot] - p_units[part];
                    if strangers[part] then
                        strange[slot] := strange[slot] - p_units[part];
                    end if;
                end loop;
            end loop;
        end if;
    end loop;

    if 'made' = any (outcomes) then
        update property_availability a set reserved_units = a.reserved_units + s.taken, updated_at = now()
        from unnest(homes, dates, taken) as s (property_id, date, taken)
        where s.taken > 0 and a.property_id = s.property_id and a.date = s.date
          and a.date >= from_date and a.date <= to_date;

        insert into reservation (reservation_id, code, property_id, check_in, check_out, units, guests, msisdn,
            guest_msisdn, guest_name, language, status, nightly_prices, total, currency, pay, cancel_hours,
            hold_expires_at, turn_door, turn_session, turn_position, turn_part, fees, stranger)
        select u.id, u.code, u.property_id, u.check_in, u.check_out, u.units, u.guests, u.msisdn, u.guest_msisdn,
               u.guest_name, u.language, case p.pay when 'prepay' then 'held' else 'confirmed' end,
               prices[u.first : u.first + (u.check_out - u.check_in) - 1], u.total, p.currency, p.pay, p.cancel_hours,
               case p.pay when 'prepay' then now() + make_interval(mins => p.hold_minutes) end,
               u.door, u.session, u.position, u.part, u.fees, u.stranger
        from unnest(outcomes, p_ids, p_codes, p_property_ids, p_check_ins, p_check_outs, p_units, p_guests, p_msisdns,
                    p_guest_msisdns, p_guest_names, p_languages, p_totals, p_doors, p_sessions, p_positions, p_parts,
                    fees, strangers, firsts)
             as u (outcome, id, code, property_id, check_in, check_out, units, guests, msisdn, guest_msisdn,
                   guest_name, language, total, door, session, position, part, fees, stranger, first)
        join property p on p.property_id = u.property_id
        where u.outcome = 'made';

        insert into reservation_event (reservation_id, to_status, who, channel, why)
        select u.id, case when u.prepaid then 'held' else 'confirmed' end, u.who, u.channel, u.why
        from unnest(outcomes, p_ids, prepaid, p_whos, p_channels, p_whys)
             as u (outcome, id, prepaid, who, channel, why)
        where u.outcome = 'made';

        insert into outbox (reservation_id, kind, msisdn, text, expires_at)
        select u.id, d.kind, d.msisdn, d.text, d.expires_at
        from unnest(outcomes, p_ids, p_outboxes) as u (outcome, id, outbox)
        cross join lateral jsonb_to_recordset(u.outbox)
             as d (kind text, msisdn text, text text, expires_at timestamptz)
        where u.outcome = 'made'
        on conflict do nothing;
    end if;

    -- A hold never blocks its owner, who is told of it.
    if true = any (prepaid) then
        for row in
            select u.n, r.reservation_id
            from unnest(outcomes, p_property_ids, p_check_ins, p_check_outs, p_msisdns, prepaid, p_parts) with ordinality
                 as u (outcome, property_id, check_in, check_out, msisdn, prepaid, part, n)
            cross join lateral (
                select r.reservation_id from reservation r
                where r.msisdn = u.msisdn and r.property_id = u.property_id and r.status = 'held'
                  and r.hold_expires_at > now() and r.check_in < u.check_out and r.check_out > u.check_in
                order by r.check_in limit 1
            ) r
            where u.prepaid and u.part = 0 and u.outcome in ('taken', 'too_many')
        loop
            outcomes[row.n] := 'yours';
            made_ids[row.n] := row.reservation_id;
        end loop;
    end if;

    return query
        select u.outcome, u.price_now, u.restriction, v
        from unnest(outcomes, prices_now, restrictions, made_ids) with ordinality
             as u (outcome, price_now, restriction, id, n)
        left join reservation_shown v
            on v.reservation_id = u.id and u.outcome in ('made', 'again', 'yours')
        order by u.n;
end $$;
