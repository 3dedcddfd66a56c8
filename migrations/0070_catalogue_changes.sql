-- What changed of what the API shows: a log whose numbers are its versions. Clients ask "what is new since number N?", and no
-- change may be missed, though transactions do not commit in the order in which they began. So numbers are not drawn by
-- whoever changes something, but given afterwards: a change is noted in the transaction that makes it, by an insert that waits
-- for nobody; what is noted and committed is numbered by one transaction at a time. Whoever sees number N sees everything up
-- to N: the numbers below belong to transactions that had committed before, and the numbers above come later.

-- Noted, not yet numbered. Without a property it is about the town's places; without a town about where the property is now.
create table catalogue_change_noted (
    property_id uuid,
    town        text,
    check (property_id is not null or town is not null)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

create table catalogue_change (
    version     bigint primary key,
    property_id uuid,
    town        text not null,
    at          timestamptz not null default now()
);
create index catalogue_change_property on catalogue_change (property_id, version);

create function catalogue_changes_are_kept() returns trigger language plpgsql as $$
begin
    raise exception 'catalogue_change is append-only';
end $$;
create trigger catalogue_change_append_only before update on catalogue_change
    for each row execute function catalogue_changes_are_kept();

insert into catalogue_change (version, property_id, town)
select row_number() over (order by c.town, c.property_id nulls first), c.property_id, c.town
from (select property_id, town from property
      union all
      select distinct null::uuid, coalesce(town, place_id) from place) c;

-- Numbers what is noted. Its own transaction, in READ COMMITTED: the statement after the lock sees what the one before it
-- has numbered.
create function number_changes() returns void language plpgsql as $$
begin
    if not exists (select from catalogue_change_noted) then
        return;
    end if;
    perform pg_advisory_xact_lock(hashtext('reserveflow'), hashtext('catalogue_change'));
    with noted as (delete from catalogue_change_noted returning property_id, town),
    changed as (
        select distinct n.property_id, coalesce(n.town, p.town) as town
        from noted n left join property p on p.property_id = n.property_id
    )
    insert into catalogue_change (version, property_id, town)
    select last.version + row_number() over (order by c.town, c.property_id nulls first), c.property_id, c.town
    from changed c
    cross join (select coalesce(max(version), 0) as version from catalogue_change) last
    -- Of a property that is gone its own row has told the town.
    where c.town is not null;
end $$;

-- Forgets, of what is more than p_kept numbers back, all that newer numbers say again and properties that are gone.
create function prune_changes(p_kept bigint) returns bigint language plpgsql as $$
declare
    pruned bigint;
begin
    delete from catalogue_change c
    where c.version <= (select max(version) from catalogue_change) - p_kept
      and (case when c.property_id is null
                then exists (select from catalogue_change n
                             where n.property_id is null and n.town = c.town and n.version > c.version)
                else exists (select from catalogue_change n
                             where n.property_id = c.property_id and n.version > c.version)
                     or not exists (select from property p where p.property_id = c.property_id) end);
    get diagnostics pruned = row_count;
    return pruned;
end $$;

create function note_nights() returns trigger language plpgsql as $$
begin
    insert into catalogue_change_noted (property_id) select distinct changed.property_id from changed;
    return null;
end $$;
create trigger nights_noted_insert after insert on property_availability
    referencing new table as changed for each statement execute function note_nights();
create trigger nights_noted_update after update on property_availability
    referencing new table as changed for each statement execute function note_nights();
create trigger nights_noted_delete after delete on property_availability
    referencing old table as changed for each statement execute function note_nights();

create function note_property() returns trigger language plpgsql as $$
begin
    if tg_op <> 'INSERT' then
        insert into catalogue_change_noted (property_id, town) values (old.property_id, old.town);
    end if;
    if tg_op = 'INSERT' or tg_op = 'UPDATE' and new.town <> old.town then
        insert into catalogue_change_noted (property_id, town) values (new.property_id, new.town);
    end if;
    return null;
end $$;
create trigger property_noted after insert or delete on property for each row execute function note_property();
create trigger property_noted_update after update on property for each row
    when (to_jsonb(new) - 'updated_at' <> to_jsonb(old) - 'updated_at') execute function note_property();

create function note_host() returns trigger language plpgsql as $$
begin
    insert into catalogue_change_noted (property_id, town)
    select property_id, town from property where host_id = new.host_id;
    return null;
end $$;
create trigger host_noted after update on host for each row when (old.name <> new.name) execute function note_host();

create function note_place() returns trigger language plpgsql as $$
begin
    if tg_op <> 'INSERT' then
        insert into catalogue_change_noted (property_id, town)
        values (null, coalesce(old.town, old.place_id));
    end if;
    if tg_op <> 'DELETE' then
        insert into catalogue_change_noted (property_id, town)
        values (null, coalesce(new.town, new.place_id));
    end if;
    if tg_op = 'UPDATE' then
        insert into catalogue_change_noted (property_id, town)
        select property_id, town from property where town = new.place_id or area = new.place_id;
    end if;
    return null;
end $$;
create trigger place_noted after insert or delete on place for each row execute function note_place();
create trigger place_noted_update after update on place for each row when (old is distinct from new)
    execute function note_place();
