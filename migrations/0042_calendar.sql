-- What a search reads: for each property one bit a night, 1 where a unit can be slept in. Triggers keep it with the
-- nights, whoever changes them and in the same transaction, and touch it only when a night fills or opens again.
-- Lock order: nights, then calendars by property.

create table property_calendar (
    property_id uuid primary key references property,
    first_night date not null,
    -- One bit a night from first_night on. A night beyond its end, or without a row, is not for sale.
    free        bit varying not null
) with (fillfactor = 80);

-- Makes the calendars of these properties from their nights.
create function make_calendars(p_property_ids uuid[]) returns void language plpgsql as $$
begin
    -- First the locks, then in a newer snapshot the nights: a reservation that fills a night meanwhile waits for the
    -- calendar, and sets its bit in the one made here.
    perform from property_calendar c where c.property_id = any (p_property_ids) order by c.property_id for update;
    delete from property_calendar c where c.property_id = any (p_property_ids)
        and not exists (select from property_availability a where a.property_id = c.property_id);
    insert into property_calendar (property_id, first_night, free)
    select span.property_id, span.first_night, bits.free
    from (select id as property_id, min(a.date) as first_night, max(a.date) as last_night
          from unnest(p_property_ids) id join property_availability a on a.property_id = id group by id) span
    cross join lateral (
        select string_agg(case when not a.closed and a.reserved_units < a.available_units then '1' else '0' end, ''
                          order by d.day)::bit varying as free
        from generate_series(0, span.last_night - span.first_night) d (day)
        left join property_availability a on a.property_id = span.property_id and a.date = span.first_night + d.day
    ) bits
    order by span.property_id
    on conflict (property_id) do update set first_night = excluded.first_night, free = excluded.free;
end $$;

-- Makes up to p_limit calendars that do not reach to the end of the months, and says how many there were.
create function complete_calendars(p_limit integer) returns integer language plpgsql as $$
declare
    last_month date := calendar_end();
    missing    uuid[];
begin
    select array_agg(m.property_id) into missing
    from (select p.property_id from property p
          left join property_calendar c on c.property_id = p.property_id
          where (c.property_id is null or c.first_night + length(c.free) < last_month)
            -- Its nights reach that far already.
            and exists (select from property_availability a
                        where a.property_id = p.property_id and a.date = last_month - 1)
          order by p.property_id limit p_limit) m;
    if missing is null then
        return 0;
    end if;
    perform make_calendars(missing);
    return cardinality(missing);
end $$;

create function set_calendar_bit() returns trigger language plpgsql as $$
begin
    update property_calendar c
    set free = set_bit(c.free, new.date - c.first_night,
                       case when not new.closed and new.reserved_units < new.available_units then 1 else 0 end)
    where c.property_id = new.property_id and new.date - c.first_night between 0 and length(c.free) - 1;
    return null;
end $$;
create trigger night_fills_or_opens after update on property_availability for each row
    when ((not old.closed and old.reserved_units < old.available_units)
          <> (not new.closed and new.reserved_units < new.available_units))
    execute function set_calendar_bit();

create function make_changed_calendars() returns trigger language plpgsql as $$
begin
    perform make_calendars(array(select distinct changed.property_id from changed));
    return null;
end $$;
create trigger nights_are_new after insert on property_availability
    referencing new table as changed for each statement execute function make_changed_calendars();
create trigger nights_are_gone after delete on property_availability
    referencing old table as changed for each statement execute function make_changed_calendars();
