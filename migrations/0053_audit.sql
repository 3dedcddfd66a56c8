-- Where the attached months begin: before it, stays have their reservation and no nights any more.

create function calendar_start() returns date language sql stable as $$
    select min(to_date(right(c.relname, 7), 'YYYY_MM'))
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'property_availability'::regclass
$$;
