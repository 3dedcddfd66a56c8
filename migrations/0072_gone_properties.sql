-- A property that is gone is told by the id that clients know it by.

alter table catalogue_change_noted add column short_id text;
alter table catalogue_change add column short_id text;
alter table catalogue_change disable trigger catalogue_change_append_only;
update catalogue_change c set short_id = p.short_id from property p where p.property_id = c.property_id;
alter table catalogue_change enable trigger catalogue_change_append_only;

create or replace function number_changes() returns void language plpgsql as $$
begin
    if not exists (select from catalogue_change_noted) then
        return;
    end if;
    perform pg_advisory_xact_lock(hashtext('reserveflow'), hashtext('catalogue_change'));
    with noted as (delete from catalogue_change_noted returning property_id, town, short_id),
    changed as (
        select n.property_id, coalesce(n.town, p.town) as town, max(coalesce(p.short_id, n.short_id)) as short_id
        from noted n left join property p on p.property_id = n.property_id
        group by 1, 2
    )
    insert into catalogue_change (version, property_id, town, short_id)
    select last.version + row_number() over (order by c.town, c.property_id nulls first), c.property_id, c.town, c.short_id
    from changed c
    cross join (select coalesce(max(version), 0) as version from catalogue_change) last
    -- Of a property that is gone its own row has told the town.
    where c.town is not null;
end $$;

create or replace function note_property() returns trigger language plpgsql as $$
begin
    if tg_op <> 'INSERT' then
        insert into catalogue_change_noted (property_id, town, short_id)
        values (old.property_id, old.town, old.short_id);
    end if;
    if tg_op = 'INSERT' or tg_op = 'UPDATE' and new.town <> old.town then
        insert into catalogue_change_noted (property_id, town, short_id)
        values (new.property_id, new.town, new.short_id);
    end if;
    return null;
end $$;
