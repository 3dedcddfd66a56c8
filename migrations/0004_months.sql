-- The calendar: months are made ahead as partitions, and every property has a row for every night in them.

-- Whoever makes months, fills nights or imports holds this to the end of its transaction, so that no property
-- misses a month that another is just making. Reservations never take it.
create function lock_calendar() returns void language sql as $$
    select pg_advisory_xact_lock(hashtext('reserveflow'), hashtext('calendar'))
$$;

-- The day after the last month that is attached; null without months.
create function calendar_end() returns date language sql stable as $$
    select max(to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month')::date
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'property_availability'::regclass
$$;

-- Makes the missing months from first's to last's and says which. A month is filled before it is attached:
-- ATTACH then blocks no booking, while CREATE TABLE … PARTITION OF would wait for every open transaction.
create function ensure_months(p_first date, p_last date) returns text[] language plpgsql as $$
declare
    month    date;
    past     date;
    child    text;
    made     text[] := '{}';
begin
    perform lock_calendar();
    for month in
        select m::date from generate_series(date_trunc('month', p_first::timestamp), p_last::timestamp, '1 month') m
    loop
        past := (month + interval '1 month')::date;
        child := 'property_availability_' || to_char(month, 'YYYY_MM');
        continue when to_regclass(child) is not null;
        -- The CHECK equals the bounds, so that ATTACH need not scan.
        execute format('create table %I (like property_availability including all, '
                       'constraint month_bounds check (date >= %L and date < %L)) with (fillfactor = 80)',
                       child, month, past);
        execute format('insert into %I (property_id, date, available_units, price_base) '
                       'select p.property_id, d::date, p.units, p.price_base '
                       'from property p cross join generate_series(%L::timestamp, %L::timestamp, ''1 day'') d '
                       'order by p.property_id, d',
                       child, greatest(month, p_first), past - 1);
        perform set_config('lock_timeout', '500ms', true);
        execute format('alter table property_availability attach partition %I for values from (%L) to (%L)',
                       child, month, past);
        execute format('alter table %I drop constraint month_bounds', child);
        made := made || child;
    end loop;
    return made;
end $$;

-- Gives every property (or these) the nights that it lacks from first on, in the months that exist; says how many.
create function fill_nights(p_first date, p_property_ids uuid[] default null) returns bigint language plpgsql as $$
declare
    past   date;
    filled bigint;
begin
    perform lock_calendar();
    past := calendar_end();
    insert into property_availability (property_id, date, available_units, price_base)
    select p.property_id, d::date, p.units, p.price_base
    from property p cross join generate_series(p_first::timestamp, past - interval '1 day', '1 day') d
    where (p_property_ids is null or p.property_id = any (p_property_ids))
      and (select count(*) from property_availability a
           where a.property_id = p.property_id and a.date >= p_first and a.date < past) < past - p_first
    order by p.property_id, d
    on conflict (property_id, date) do nothing;
    get diagnostics filled = row_count;
    return filled;
end $$;
