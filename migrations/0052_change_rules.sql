-- Other dates keep to the lodge's rules and fees, and nobody takes a closed night again. A reservation also shows what its
-- guest was charged for cancelling.

create or replace view reservation_shown as
select r.reservation_id, r.code, r.property_id, p.name as property_name, p.phone as property_phone, p.landmark,
       t.name as town, h.msisdn as host_msisdn, h.language as host_language, r.check_in, r.check_out, r.units,
       r.guests, r.msisdn, r.guest_msisdn, r.guest_name, r.language, r.status, r.total, r.currency, r.pay,
       p.check_in_time, r.cancel_hours, r.hold_expires_at, p.time_zone, r.turn_door, r.turn_session, r.turn_position,
       r.changes, r.refund, r.cancel_cost
from reservation r
join property p on p.property_id = r.property_id
join host h on h.host_id = p.host_id
join place t on t.place_id = p.town;

create or replace function take_nights_again(r reservation) returns boolean language plpgsql as $$
declare
    free_nights integer;
begin
    select count(*) filter (where locked.free) into free_nights
    from (select not a.closed and a.reserved_units + r.units <= a.available_units as free
          from property_availability a
          where a.property_id = r.property_id and a.date >= r.check_in and a.date < r.check_out
          order by a.date for no key update) locked;
    if free_nights <> r.check_out - r.check_in then
        return false;
    end if;
    update property_availability a set reserved_units = a.reserved_units + r.units, updated_at = now()
    where a.property_id = r.property_id and a.date >= r.check_in and a.date < r.check_out;
    return true;
end $$;

-- Each night's price after a change, or null unless all nights are free. Nights that the guest has already are free
-- for the guest, at the price at which they were booked.
create or replace function changed_prices(r reservation, p_check_in date, p_check_out date) returns integer[] language plpgsql as $$
declare
    prices integer[];
    fits   bigint;
begin
    select array_agg(night.price order by night.date), count(*) filter (where night.kept or night.free)
    into prices, fits
    from (select a.date, a.date >= r.check_in and a.date < r.check_out as kept,
                 not a.closed and a.reserved_units + r.units <= a.available_units as free,
                 coalesce(r.nightly_prices[a.date - r.check_in + 1],
                          night_price(a.price_base, a.surge_multiplier)) as price
          from property_availability a
          where a.property_id = r.property_id and a.date >= p_check_in and a.date < p_check_out) night;
    return case when fits = p_check_out - p_check_in then prices end;
end $$;

-- Outcomes: quoted (p_total_shown is null: total_now is what it would cost, nothing is written), done, again (this turn
-- has done it), same (those are its dates), taken, restricted (restriction tells why), price_changed, too_late (it cannot be cancelled for nothing any
-- more, or the new stay begins before today), prepaid (it is paid and would cost something else), not_found.
drop function change_stay;
create function change_stay(
    p_reservation_id uuid, p_check_in date, p_check_out date, p_at timestamptz, p_total_shown bigint,
    p_who text, p_channel text, p_why text, p_turn text, p_outbox jsonb
) returns table (outcome text, total_now bigint, restriction text, shown reservation_shown) language plpgsql as $$
declare
    r      reservation;
    home   property;
    prices integer[];
    lines  jsonb;
begin
    select * into r from reservation where reservation_id = p_reservation_id for no key update;
    if not found then
        outcome := 'not_found';
        return next;
        return;
    end if;
    select * into home from property p where p.property_id = r.property_id;

    <<decide>>
    begin
        outcome := 'again';
        exit decide when p_turn is not null and exists (select from reservation_event e where e.turn = p_turn);
        outcome := 'too_late';
        exit decide when r.status not in ('held', 'confirmed') or cancel_cost(r, p_at) > 0
            or p_check_in < (p_at at time zone home.time_zone)::date;
        outcome := 'same';
        exit decide when r.check_in = p_check_in and r.check_out = p_check_out;
        outcome := 'taken';
        exit decide when not home.open;
        select stay_restriction(home, p_check_in, p_check_out,
                                min(a.min_stay) filter (where a.date = p_check_in),
                                max(a.max_stay) filter (where a.date = p_check_in),
                                bool_or(a.closed_to_arrival) filter (where a.date = p_check_in),
                                bool_or(a.closed_to_departure) filter (where a.date = p_check_out), p_at)
        into restriction
        from property_availability a
        where a.property_id = r.property_id and a.date >= p_check_in and a.date <= p_check_out;
        outcome := 'restricted';
        exit decide when restriction is not null;
        outcome := 'taken';
        prices := changed_prices(r, p_check_in, p_check_out);
        exit decide when prices is null;

        if p_total_shown is not null then
            -- Of both stays the earlier first: dates ascend, also where the stays overlap.
            perform from property_availability a
            where a.property_id = r.property_id
              and a.date >= least(r.check_in, p_check_in)
              and a.date < case when r.check_in <= p_check_in then r.check_out else p_check_out end
            order by a.date for no key update;
            perform from property_availability a
            where a.property_id = r.property_id
              and a.date >= greatest(r.check_in, p_check_in)
              and a.date < case when r.check_in <= p_check_in then p_check_out else r.check_out end
            order by a.date for no key update;
            prices := changed_prices(r, p_check_in, p_check_out);
            exit decide when prices is null;
        end if;

        select sum(price) * r.units into total_now from unnest(prices) price;
        lines := fee_lines(home.fees, total_now, p_check_out - p_check_in, r.units, r.guests);
        total_now := total_now + fees_added(lines);
        outcome := 'prepaid';
        exit decide when r.pay = 'prepay' and r.status = 'confirmed' and total_now <> r.total;
        outcome := 'quoted';
        exit decide when p_total_shown is null;
        outcome := 'price_changed';
        exit decide when total_now <> p_total_shown;

        update property_availability a set reserved_units = a.reserved_units - r.units, updated_at = now()
        where a.property_id = r.property_id and a.date >= r.check_in and a.date < r.check_out
          and not (a.date >= p_check_in and a.date < p_check_out);
        update property_availability a set reserved_units = a.reserved_units + r.units, updated_at = now()
        where a.property_id = r.property_id and a.date >= p_check_in and a.date < p_check_out
          and not (a.date >= r.check_in and a.date < r.check_out);
        update reservation set check_in = p_check_in, check_out = p_check_out, nightly_prices = prices,
            fees = lines, total = total_now, changes = changes + 1
        where reservation_id = p_reservation_id;
        insert into reservation_event (reservation_id, from_status, to_status, who, channel, why, turn)
        values (p_reservation_id, r.status, r.status, p_who, p_channel,
                format('%s: %s to %s, before %s to %s', p_why, p_check_in, p_check_out, r.check_in, r.check_out), p_turn);
        perform write_outbox(p_reservation_id, p_outbox, r.changes + 1);
        outcome := 'done';
    end;
    select v.* into shown from reservation_shown v where v.reservation_id = p_reservation_id;
    return next;
end $$;
