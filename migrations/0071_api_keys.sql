-- Who may use the API, and for what. A key is known by its hash alone; a program that changes its key has two for a while.
create table api_key (
    api_key_id uuid primary key,
    name       text not null,
    key_hash   bytea not null unique check (octet_length(key_hash) = 32),
    scopes     text[] not null check (scopes <@ array['read', 'book', 'manage'] and cardinality(scopes) > 0),
    -- Whose properties it may manage; null: of every host.
    host_id    uuid references host,
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    revoked_at timestamptz
);
