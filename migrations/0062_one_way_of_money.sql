-- All money goes one way: what a person has seen or has given to a booking is written and told as what a provider tells.

drop function confirm_reservation(uuid, timestamptz, text, text, text, text, jsonb, jsonb);
drop function settle_payment(text, text, uuid, text, text, bigint, text, timestamptz, timestamptz, bigint, text, jsonb);

-- A reservation also shows what has been paid of it.
create or replace view reservation_shown as
select r.reservation_id, r.code, r.property_id, p.name as property_name, p.phone as property_phone, p.landmark,
       t.name as town, h.msisdn as host_msisdn, h.language as host_language, r.check_in, r.check_out, r.units,
       r.guests, r.msisdn, r.guest_msisdn, r.guest_name, r.language, r.status, r.total, r.currency, r.pay,
       p.check_in_time, r.cancel_hours, r.hold_expires_at, p.time_zone, r.turn_door, r.turn_session, r.turn_position,
       r.changes, r.refund, r.cancel_cost, r.paid
from reservation r
join property p on p.property_id = r.property_id
join host h on h.host_id = p.host_id
join place t on t.place_id = p.town;

-- As before, and the history says who told of the money. By a prompt (p_attempt_id) or by hand (p_code, what the payer
-- typed as p_reference). Written once: a receipt is a payment, and a prompt's success that told no receipt is the payment
-- that a later receipt names.
-- p_texts has the drafts of each end by its name; p_paid_seen and p_status_seen are what they were written from.
-- Outcomes: again, moved (the reservation is not as it was seen, nothing is written), unallocated, and those of
-- allocate_payment.
create function settle_payment(
    p_provider text, p_receipt text, p_attempt_id uuid, p_code text, p_reference text, p_amount bigint,
    p_currency text, p_paid_at timestamptz, p_at timestamptz, p_paid_seen bigint, p_status_seen text, p_texts jsonb,
    p_who text, p_channel text, p_why text
) returns table (outcome text, payment_id uuid) language plpgsql as $$
declare
    r       reservation;
    attempt uuid := p_attempt_id;
    owner   uuid;
begin
    if p_attempt_id is not null then
        select a.reservation_id into owner from payment_attempt a where a.attempt_id = p_attempt_id;
    else
        select x.reservation_id into owner from reservation x where x.code = p_code;
    end if;
    select * into r from reservation x where x.reservation_id = owner for no key update;

    select p.payment_id into payment_id from payment p where p.provider = p_provider and p.receipt = p_receipt;
    if payment_id is null and p_attempt_id is not null then
        select p.payment_id into payment_id from payment p
        where p.attempt_id = p_attempt_id and (p.receipt is null or p_receipt is null);
    end if;
    if payment_id is null and p_attempt_id is null then
        -- A prompt's payment to a pay bill is told by the pay bill too, with the receipt.
        select p.payment_id into payment_id from payment p
        where p.reservation_id = owner and p.provider = p_provider and p.receipt is null and p.amount = p_amount;
    end if;
    if payment_id is not null then
        update payment p set receipt = p_receipt where p.payment_id = settle_payment.payment_id and p.receipt is null
            and p_receipt is not null;
        if p_attempt_id is not null then
            update payment p set attempt_id = p_attempt_id
            where p.payment_id = settle_payment.payment_id and p.attempt_id is null
              and not exists (select from payment q where q.attempt_id = p_attempt_id);
            update payment_attempt a set status = 'paid' where a.attempt_id = p_attempt_id and a.status <> 'paid';
        end if;
        outcome := 'again';
        return next;
        return;
    end if;

    if owner is not null and (r.paid, r.status) is distinct from (p_paid_seen, p_status_seen) then
        outcome := 'moved';
        return next;
        return;
    end if;
    if attempt is null then
        select a.attempt_id into attempt from payment_attempt a
        where a.reservation_id = owner and a.provider = p_provider and a.amount = p_amount
          and a.status in ('prompting', 'pending') and not exists (select from payment q where q.attempt_id = a.attempt_id);
    elsif exists (select from payment q where q.attempt_id = attempt) then
        -- One prompt, two receipts: the second is money all the same.
        attempt := null;
    end if;
    insert into payment (payment_id, provider, receipt, attempt_id, reservation_id, reference, amount, currency, paid_at)
    values (gen_random_uuid(), p_provider, p_receipt, attempt, owner, p_reference, p_amount, p_currency, p_paid_at)
    returning payment.payment_id into payment_id;
    insert into ledger (payment_id, reservation_id, debit, credit, amount, currency, why)
    values (payment_id, owner, 'paid', 'unallocated', p_amount, p_currency, p_why);
    update payment_attempt a set status = 'paid', failure = null where a.attempt_id = attempt and a.status <> 'paid';
    if owner is null or r.currency <> p_currency then
        update payment p set reservation_id = null where p.payment_id = settle_payment.payment_id;
        outcome := 'unallocated';
    else
        outcome := allocate_payment(payment_id, owner, p_at, p_who, p_channel, p_why, p_texts);
    end if;
    return next;
end $$;

-- What a callback said the sum was.
alter table payment_attempt add column heard_amount bigint check (heard_amount > 0);

-- Who has given an unallocated payment to the booking proposed_code; the cashier applies it then.
alter table payment add column given_by text;
create index payment_given on payment (created_at) where given_by is not null and reservation_id is null;

-- Applies a payment that was given to a booking. Outcomes: again, moved (as of settle_payment), and those of
-- allocate_payment.
create function give_payment(
    p_payment_id uuid, p_at timestamptz, p_paid_seen bigint, p_status_seen text, p_texts jsonb
) returns text language plpgsql as $$
declare
    r reservation;
    p payment;
begin
    select x.* into r from payment y join reservation x on x.code = y.proposed_code
    where y.payment_id = p_payment_id for no key update of x;
    select * into p from payment where payment_id = p_payment_id for no key update;
    if p.reservation_id is not null or p.given_by is null or r.reservation_id is null then
        return 'again';
    end if;
    if (r.paid, r.status) is distinct from (p_paid_seen, p_status_seen) then
        return 'moved';
    end if;
    return allocate_payment(p_payment_id, r.reservation_id, p_at, 'operator', 'console', 'matched by ' || p.given_by, p_texts);
end $$;

-- Nobody claims an unallocated payment: all of it is to go back. False: it is not unallocated.
create function return_payment(p_payment_id uuid, p_by text, p_why text) returns boolean language plpgsql as $$
declare
    p    payment;
    rest bigint;
begin
    select * into p from payment where payment_id = p_payment_id for no key update;
    rest := ledger_balance(p_payment_id, 'unallocated');
    if p.payment_id is null or p.reservation_id is not null or p.given_by is not null or rest <= 0 then
        return false;
    end if;
    insert into ledger (payment_id, debit, credit, amount, currency, why)
    values (p_payment_id, 'unallocated', 'refund_due', rest, p.currency, p_why);
    insert into refund (payment_id, amount, currency, why, requested_by)
    values (p_payment_id, rest, p.currency, p_why, p_by);
    return true;
end $$;
