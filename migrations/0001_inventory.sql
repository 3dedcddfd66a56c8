-- Places, hosts, properties and their nights. Everything that is sold is a night of one property:
-- one row per property and night, its counter guarded by a CHECK that has the last word.

create table place (
    place_id    text primary key,
    kind        text not null check (kind in ('town', 'area', 'landmark', 'stage')),
    town        text references place,
    name        text not null,
    country     text not null,
    region      text not null,
    latitude    double precision not null,
    longitude   double precision not null,
    popularity  integer not null default 0,
    aliases     text[] not null default '{}',
    check ((kind = 'town') = (town is null))
);

create table host (
    host_id  uuid primary key,
    name     text not null,
    msisdn   text not null unique,
    language text not null default 'en'
);

create table property (
    property_id   uuid primary key,
    short_id      text not null unique,
    host_id       uuid not null references host,
    town          text not null references place,
    area          text references place,
    name          text not null,
    kind          text not null,
    landmark      text not null default '',
    units         integer not null check (units >= 0),
    guests_max    integer not null check (guests_max > 0),
    price_base    integer not null check (price_base > 0),
    currency      text not null,
    time_zone     text not null,
    check_in_time time not null default '14:00',
    cancel_hours  integer not null default 0 check (cancel_hours >= 0),
    pay           text not null check (pay in ('at_lodge', 'prepay')),
    hold_minutes  integer not null default 10 check (hold_minutes > 0),
    phone         text not null,
    open          boolean not null default true,
    updated_at    timestamptz not null default now()
);
create index property_town on property (town) where open;
create index property_area on property (area) where open and area is not null;

-- price_base is in minor units; the night costs round(price_base * surge_multiplier) whole minor units.
-- A night follows its property's units and price until the host's calendar gives it its own (own_units, own_price).
-- No default partition: it would forbid detaching concurrently. Months are made ahead by ensure_months().
create table property_availability (
    property_id      uuid not null,
    date             date not null,
    available_units  integer not null check (available_units >= 0),
    reserved_units   integer not null default 0,
    price_base       integer not null check (price_base > 0),
    surge_multiplier numeric(3, 2) not null default 1.00 check (surge_multiplier > 0),
    own_units        boolean not null default false,
    own_price        boolean not null default false,
    updated_at       timestamptz not null default now(),
    primary key (property_id, date),
    check (reserved_units between 0 and available_units)
) partition by range (date);

-- What one night costs, in minor units: the one place where the rounding is decided.
create function night_price(price_base integer, surge_multiplier numeric) returns integer
language sql immutable parallel safe
return round(price_base * surge_multiplier)::integer;
