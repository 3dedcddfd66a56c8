-- Who changed what of a property, from what to what: whatever way it came, and in the transaction that changes it. The
-- columns of a reservation are none of it, so that reserving fires none of these triggers.

create table property_event (
    property_event_id bigint generated always as identity primary key,
    property_id       uuid not null,
    -- Of one night; null: of the property.
    date              date,
    at                timestamptz not null default now(),
    who               text not null,
    channel           text not null,
    -- Only what is different.
    before            jsonb not null,
    after             jsonb not null
);
create index property_event_property on property_event (property_id, property_event_id);
create trigger property_event_append_only before update or delete on property_event
    for each row execute function reservation_events_are_kept();

-- Says, to the end of the transaction, who makes the changes. Where nobody says, it was somebody with SQL, or the host's phone.
create function changed_by(p_who text, p_channel text) returns void language sql as $$
    select set_config('reserveflow.who', p_who, true), set_config('reserveflow.channel', p_channel, true)
$$;

create function note_property_event(p_property_id uuid, p_date date, p_before jsonb, p_after jsonb) returns void
language plpgsql as $$
begin
    insert into property_event (property_id, date, who, channel, before, after)
    select p_property_id, p_date, coalesce(nullif(current_setting('reserveflow.who', true), ''), 'not said'),
           coalesce(nullif(current_setting('reserveflow.channel', true), ''), 'database'),
           coalesce(jsonb_object_agg(b.key, b.value) filter (where b.value is distinct from p_after -> b.key), '{}'),
           (select coalesce(jsonb_object_agg(a.key, a.value), '{}') from jsonb_each(p_after) a
            where a.value is distinct from p_before -> a.key)
    from jsonb_each(p_before) b;
end $$;

create function note_changed_property() returns trigger language plpgsql as $$
begin
    perform note_property_event(new.property_id, null,
                                case tg_op when 'INSERT' then '{}' else to_jsonb(old) - 'updated_at' end,
                                to_jsonb(new) - 'updated_at');
    return null;
end $$;
create trigger property_made after insert on property for each row execute function note_changed_property();
create trigger property_changed after update on property for each row
    when (to_jsonb(new) - 'updated_at' <> to_jsonb(old) - 'updated_at') execute function note_changed_property();

create function note_changed_night() returns trigger language plpgsql as $$
declare
    derived text[] := '{property_id,date,reserved_units,updated_at}';
begin
    perform note_property_event(new.property_id, new.date, to_jsonb(old) - derived, to_jsonb(new) - derived);
    return null;
end $$;
-- A night that follows its property is told by the property's own row.
create trigger night_changed after update of available_units, out_of_service, own_units, price_base, own_price,
    surge_multiplier, closed, min_stay, max_stay, closed_to_arrival, closed_to_departure on property_availability
    for each row
    when (old.closed <> new.closed or old.out_of_service <> new.out_of_service
          or old.surge_multiplier <> new.surge_multiplier
          or old.min_stay is distinct from new.min_stay or old.max_stay is distinct from new.max_stay
          or old.closed_to_arrival <> new.closed_to_arrival or old.closed_to_departure <> new.closed_to_departure
          or (new.own_units and (not old.own_units or old.available_units <> new.available_units))
          or (new.own_price and (not old.own_price or old.price_base <> new.price_base)))
    execute function note_changed_night();

-- Nights that another channel has sold, as its calendar last said, and how many units of it were taken off here: fewer than
-- one where all that is left was sold already.
create table channel_block (
    property_id uuid    not null,
    source      text    not null,
    date        date    not null,
    units       integer not null check (units > 0),
    primary key (property_id, date, source)
);

-- Makes the nights of a channel what its calendar says now: p_dates with p_units each. Nothing is taken that is sold here;
-- what could not be taken comes back, by date.
create function set_channel_blocks(p_property_id uuid, p_source text, p_first date, p_dates date[], p_units integer[])
returns table (sold_twice date, missing integer) language plpgsql as $$
begin
    perform from property_availability a
    where a.property_id = p_property_id and a.date >= p_first
      and (a.date = any (p_dates) or a.date in (select b.date from channel_block b
                                                where b.property_id = p_property_id and b.source = p_source))
    order by a.date for no key update;
    return query
    with wanted as (
        select a.date, coalesce(w.units, 0) as wanted, coalesce(b.units, 0) as had,
               a.available_units - a.reserved_units as free
        from property_availability a
        left join unnest(p_dates, p_units) as w (date, units) on w.date = a.date
        left join channel_block b on b.property_id = p_property_id and b.source = p_source and b.date = a.date
        where a.property_id = p_property_id and a.date >= p_first and (w.units is not null or b.units is not null)
    ), got as (
        select w.*, least(w.wanted, w.free + w.had) as units from wanted w
    ), changed as (
        update property_availability a
        set out_of_service = greatest(0, a.out_of_service + g.units - g.had),
            available_units = a.available_units - (g.units - g.had), updated_at = now()
        from got g
        where a.property_id = p_property_id and a.date = g.date and g.units <> g.had
    ), gone as (
        delete from channel_block b using got g
        where b.property_id = p_property_id and b.source = p_source and b.date = g.date and g.units = 0
    ), kept as (
        insert into channel_block (property_id, source, date, units)
        select p_property_id, p_source, g.date, g.units from got g where g.units > 0
        on conflict (property_id, date, source) do update set units = excluded.units
    )
    select g.date, g.wanted - g.units from got g where g.units < g.wanted order by g.date;
end $$;
