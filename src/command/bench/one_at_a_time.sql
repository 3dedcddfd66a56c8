-- The floor of `reserveflow bench booking`: reserving by one function in one round trip, one guest a transaction. Locks the
-- nights in date order, checks, takes them, and writes the same rows as the service.
create function reserve_one_at_a_time(
    p_id uuid, p_code text, p_property_id uuid, p_check_in date, p_nights integer, p_msisdn text, p_text text
) returns boolean language plpgsql as $$
declare
    home   property;
    free   integer;
    prices integer[];
    price  bigint;
begin
    select * into home from property where property_id = p_property_id;
    select count(*) filter (where night.free), array_agg(night.price order by night.date), sum(night.price)
    into free, prices, price
    from (select a.date, a.reserved_units < a.available_units as free,
                 night_price(a.price_base, a.surge_multiplier) as price
          from property_availability a
          where a.property_id = p_property_id and a.date >= p_check_in and a.date < p_check_in + p_nights
          order by a.date for no key update) night;
    if free <> p_nights then
        return false;
    end if;
    update property_availability a set reserved_units = a.reserved_units + 1, updated_at = now()
    where a.property_id = p_property_id and a.date >= p_check_in and a.date < p_check_in + p_nights;
    insert into reservation (reservation_id, code, property_id, check_in, check_out, units, guests, msisdn, guest_name,
        language, status, nightly_prices, total, currency, pay, cancel_hours, turn_door, turn_session, turn_position)
    values (p_id, p_code, p_property_id, p_check_in, p_check_in + p_nights, 1, 1, p_msisdn, 'Asha', 'en', 'confirmed',
        prices, price, home.currency, home.pay, home.cancel_hours, 'bench', p_id::text, 0);
    insert into reservation_event (reservation_id, to_status, who, channel, why)
    values (p_id, 'confirmed', 'guest', 'ussd', 'booked by the guest');
    insert into outbox (reservation_id, kind, msisdn, text, expires_at)
    values (p_id, 'confirmed', p_msisdn, p_text, now() + interval '1 day');
    return true;
end $$;
