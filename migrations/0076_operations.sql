-- Operations that clients queue while they are offline. Each has an id of the client's own, and one answer: who sends it
-- again gets the answer that it has, byte for byte. Effects are keyed by the same id, so that an operation whose answer was
-- never written has its effect once all the same.

create table api_operation (
    -- Who sends it: the name of the key, which stays when the key is replaced.
    client       text not null,
    operation_id uuid not null,
    -- SHA-256 of the operation in canonical JSON.
    hash         bytea not null check (octet_length(hash) = 32),
    kind         text not null,
    -- The client's clock when it was queued.
    client_at    timestamptz not null,
    begun_at     timestamptz not null default now(),
    -- Until then whoever has the token works on it.
    leased_until timestamptz not null,
    lease_token  integer not null default 1,
    -- Canonical JSON.
    answer       text,
    primary key (client, operation_id)
);
create index api_operation_begun on api_operation (begun_at);

-- Outcomes: ours (with the token that its answer is written by), answered (answer_now is its answer), running (somebody
-- works on it), other (this id was used for another operation).
create function claim_operation(
    p_client text, p_operation_id uuid, p_hash bytea, p_kind text, p_client_at timestamptz, p_lease interval
) returns table (outcome text, token integer, answer_now text) language plpgsql as $$
declare
    known api_operation;
begin
    insert into api_operation (client, operation_id, hash, kind, client_at, leased_until)
    values (p_client, p_operation_id, p_hash, p_kind, p_client_at, now() + p_lease)
    on conflict do nothing;
    if found then
        return query select 'ours', 1, null::text;
        return;
    end if;
    select * into known from api_operation o
    where o.client = p_client and o.operation_id = p_operation_id for update;
    if not found then
        -- It was a day old and is just being forgotten.
        return query select 'running', 0, null::text;
    elsif known.hash <> p_hash then
        return query select 'other', 0, null::text;
    elsif known.answer is not null then
        return query select 'answered', 0, known.answer;
    elsif known.leased_until > clock_timestamp() then
        return query select 'running', 0, null::text;
    else
        update api_operation o set leased_until = clock_timestamp() + p_lease, lease_token = known.lease_token + 1
        where o.client = p_client and o.operation_id = p_operation_id;
        return query select 'ours', known.lease_token + 1, null::text;
    end if;
end $$;
