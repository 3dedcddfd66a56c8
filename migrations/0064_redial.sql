-- Who was asked to pay hears first how that stands when dialling again: marked where callers are looked up anyway, so that
-- nobody else costs a question.
alter table guest add column pays_until timestamptz;
create index payment_attempt_msisdn on payment_attempt (msisdn, created_at);

create function mark_payer() returns trigger language plpgsql as $$
begin
    insert into guest (msisdn, pays_until) values (new.msisdn, now() + interval '1 day')
    on conflict (msisdn) do update set pays_until = excluded.pays_until;
    return null;
end $$;
create trigger payment_attempt_payer after insert on payment_attempt
    for each row execute function mark_payer();

-- Who paid a part of a hold that ran out hears that it goes back.
alter table refund add column due_told_at timestamptz;
update refund set due_told_at = created_at;
create index refund_due_untold on refund (created_at) where due_told_at is null and why = 'the hold ran out';
