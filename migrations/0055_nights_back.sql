-- Giving nights back fills calendars with free bits, which come after all nights in the lock order: so all nights are
-- locked before the first one changes.

create or replace function give_nights_back(p_reservation_ids uuid[]) returns void language plpgsql as $$
declare
    nights constant text := 'select r.property_id, r.check_in + d.day as date, sum(r.units) as units
                             from reservation r
                             cross join lateral generate_series(0, r.check_out - r.check_in - 1) as d (day)
                             where r.reservation_id = any ($1) group by 1, 2 order by 1, 2';
    night  record;
begin
    -- One night at a time: each prunes to its month, which a join on dates would not.
    for night in execute nights using p_reservation_ids loop
        perform from property_availability a
        where a.property_id = night.property_id and a.date = night.date for no key update;
    end loop;
    for night in execute nights using p_reservation_ids loop
        update property_availability a set reserved_units = a.reserved_units - night.units, updated_at = now()
        where a.property_id = night.property_id and a.date = night.date;
    end loop;
end $$;
