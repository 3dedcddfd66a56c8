-- What SMS to a country and to a block of numbers have cost in this hour and day: over its limit a purse sends nothing
-- until the hour or the day is over. A purse is `KE/hour`, `KE/day` or `254711000/hour`.

create table sms_spend (
    purse text not null,
    since timestamptz not null,
    spent bigint not null check (spent >= 0),
    primary key (purse, since)
);

-- Takes the amount out of every purse, or out of none: then it names one that has not so much left, and the seconds until
-- it is full again. The windows are words of date_trunc. Purses are locked in the order of their names.
create function spend_on_sms(purses text[], windows text[], mosts bigint[], amount bigint)
returns table (empty text, seconds double precision) language plpgsql as $$
declare
    begun integer;
begin
    insert into sms_spend (purse, since, spent)
    select p, date_trunc(w, now()), 0 from unnest(purses, windows) as asked(p, w) order by p
    on conflict do nothing;
    get diagnostics begun = row_count;
    if begun > 0 then
        delete from sms_spend where since < now() - interval '2 days';
    end if;
    perform from sms_spend join unnest(purses, windows) as asked(p, w) on purse = p and since = date_trunc(w, now())
    order by purse for update of sms_spend;
    return query
        select purse, extract(epoch from since + ('1 ' || w)::interval - now())::double precision
        from sms_spend join unnest(purses, windows, mosts) as asked(p, w, most) on purse = p and since = date_trunc(w, now())
        where spent + amount > most
        order by 2 desc limit 1;
    if not found then
        update sms_spend set spent = spent + amount
        from unnest(purses, windows) as asked(p, w) where purse = p and since = date_trunc(w, now());
    end if;
end $$;

-- Gives back what was taken for a message that did not leave.
create function unspend_on_sms(purses text[], windows text[], amount bigint)
returns void language sql as $$
    update sms_spend set spent = greatest(spent - amount, 0)
    where (purse, since) in (
        select purse, since from sms_spend join unnest(purses, windows) as asked(p, w) on purse = p and since = date_trunc(w, now())
        order by purse for update of sms_spend)
$$;
