-- Every version of the menu files that a dialogue may still be in, so that each instance can go on with each dialogue.

create table menu_version (
    version  text primary key,
    -- Name and content of each file.
    files    jsonb not null,
    saved_at timestamptz not null default now(),
    -- When an instance last had it in use, to the minute.
    used_at  timestamptz not null default now()
);
