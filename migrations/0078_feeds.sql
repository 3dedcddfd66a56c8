-- Other channels read a property's calendar by a URL alone: the secret in it is known here by its SHA-256.

create table property_feed (
    property_id uuid primary key references property,
    secret_hash bytea not null unique check (octet_length(secret_hash) = 32),
    made_at     timestamptz not null default now()
);
