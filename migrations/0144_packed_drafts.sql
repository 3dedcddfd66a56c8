-- What a dialogue goes on from changes with every call: as bytes it is half as long as JSON, and nobody reads it to write it.
-- What was kept so far is of no use: it serves for half an hour.
drop table draft;
create table draft (
    msisdn   text primary key,
    -- Whose it is.
    session  text not null,
    -- Whether that has ended: it is not offered then.
    is_over  boolean not null,
    dialogue bytea not null,
    saved_at timestamptz not null default now()
-- Room for the next one on the same page.
) with (fillfactor = 50);
