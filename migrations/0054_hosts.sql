-- Hosts change their nights from a phone; what it was before and after is kept. Who tries codes that fit no guest is
-- stopped for a while.

create index property_host on property (host_id);

create table host_event (
    host_event_id bigint generated always as identity primary key,
    host_id       uuid not null references host,
    property_id   uuid not null references property,
    at            timestamptz not null default now(),
    channel       text not null,
    what          text not null,
    date          date not null,
    before        integer not null,
    after         integer not null
);
create index host_event_host on host_event (host_id, at);
create trigger host_event_append_only before update or delete on host_event
    for each row execute function reservation_events_are_kept();

create table wrong_code (
    wrong_code_id bigint generated always as identity primary key,
    msisdn        text not null,
    at            timestamptz not null default now()
);
create index wrong_code_msisdn on wrong_code (msisdn, at);

-- Closes or opens one night of every property of a host. Guests who have booked it keep it. One row for each property,
-- with the rooms that could be booked before and can be now.
create function close_night(p_host_id uuid, p_date date, p_closed boolean, p_channel text)
returns table (property_id uuid, before integer, after integer) language plpgsql as $$
declare
    night property_availability;
begin
    -- All nights before the first calendar.
    perform from property p
    join property_availability a on a.property_id = p.property_id and a.date = p_date
    where p.host_id = p_host_id
    order by a.property_id for no key update of a;
    for night in
        select a.* from property p
        join property_availability a on a.property_id = p.property_id and a.date = p_date
        where p.host_id = p_host_id
        order by a.property_id
    loop
        property_id := night.property_id;
        before := case when night.closed then 0 else night.available_units - night.reserved_units end;
        after := case when p_closed then 0 else night.available_units - night.reserved_units end;
        if night.closed <> p_closed then
            update property_availability a set closed = p_closed, updated_at = now()
            where a.property_id = night.property_id and a.date = p_date;
            insert into host_event (host_id, property_id, channel, what, date, before, after)
            values (p_host_id, night.property_id, p_channel, case when p_closed then 'close' else 'open' end, p_date,
                    before, after);
        end if;
        return next;
    end loop;
end $$;
