-- Months of the calendar that are over for long go to cold storage. What is kept of them here says where each one is, so
-- that whoever asks for such a night hears that, and not that there was none.

create table archived_month (
    month       date primary key check (extract(day from month) = 1),
    -- From here on its nights are not read any more.
    begun_at    timestamptz not null default now(),
    -- In cold storage, gzipped CSV: bytes and SHA-256 are those of the file.
    file        text,
    nights      bigint,
    bytes       bigint,
    sha256      text,
    -- The file was read back and holds every night of the table.
    verified_at timestamptz,
    dropped_at  timestamptz,
    check ((verified_at is not null) <= (file is not null and nights is not null and bytes is not null
                                         and sha256 is not null)),
    check ((dropped_at is not null) <= (verified_at is not null))
);

-- The months that there are as tables: attached to the calendar, being detached from it, or detached.
create view calendar_month as
select to_date(right(c.relname, 7), 'YYYY_MM') as month, c.relname::text as child,
       case when i.inhrelid is null then 'detached' when i.inhdetachpending then 'pending' else 'attached' end as state
from pg_class c
left join pg_inherits i on i.inhrelid = c.oid and i.inhparent = 'property_availability'::regclass
where c.relkind = 'r' and c.relname ~ '^property_availability_\d{4}_\d\d$'
  and c.relnamespace = (select p.relnamespace from pg_class p where p.oid = 'property_availability'::regclass);

-- The first night that can be read: a month that is being detached cannot.
create or replace function calendar_start() returns date language sql stable as $$
    select min(m.month) from calendar_month m where m.state = 'attached'
$$;
