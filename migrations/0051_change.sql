-- Other dates for a reservation: the new nights are taken and the old ones given back in one transaction, in lock order.

-- Each night's price after a change, or null unless all nights are free. Nights that the guest has already are free
-- for the guest, at the price at which they were booked.
create function changed_prices(r reservation, p_check_in date, p_check_out date) returns integer[] language plpgsql as $$
declare
    prices integer[];
    fits   bigint;
begin
    select array_agg(night.price order by night.date), count(*) filter (where night.kept or night.free)
    into prices, fits
    from (select a.date, a.date >= r.check_in and a.date < r.check_out as kept,
                 a.reserved_units + r.units <= a.available_units as free,
                 coalesce(r.nightly_prices[a.date - r.check_in + 1],
                          night_price(a.price_base, a.surge_multiplier)) as price
          from property_availability a
          where a.property_id = r.property_id and a.date >= p_check_in and a.date < p_check_out) night;
    return case when fits = p_check_out - p_check_in then prices end;
end $$;

-- Outcomes: quoted (p_total_shown is null: total_now is what it would cost, nothing is written), done, again (this turn
-- has done it), same (those are its dates), taken, price_changed, too_late (it cannot be cancelled for nothing any
-- more, or the new stay begins before today), prepaid (it is paid and would cost something else), not_found.
create function change_stay(
    p_reservation_id uuid, p_check_in date, p_check_out date, p_at timestamptz, p_total_shown bigint,
    p_who text, p_channel text, p_why text, p_turn text, p_outbox jsonb
) returns table (outcome text, total_now bigint, shown reservation_shown) language plpgsql as $$
declare
    r      reservation;
    home   property;
    prices integer[];
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
            total = total_now, changes = changes + 1
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
