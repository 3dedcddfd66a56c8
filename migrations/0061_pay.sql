-- Every step of a payment, each one call. What a step has done it finds again: nothing is asked, counted or sent back
-- twice. Lock order: reservation, payment, nights by (property, date).

-- Asks for money by a prompt to be sent after the turn has ended. Outcomes: asked, again (this turn has asked), open (a
-- prompt is under way), over (no longer held), settled (nothing is left to pay), too_often, not_found.
create function ask_payment(
    p_attempt_id uuid, p_secret text, p_reservation_id uuid, p_way text, p_provider text, p_msisdn text,
    p_minor_per_unit integer, p_turn text, p_who text, p_channel text, p_wait interval, p_hold interval,
    p_attempts_max integer
) returns table (outcome text, amount bigint, shown reservation_shown) language plpgsql as $$
declare
    r       reservation;
    percent smallint;
begin
    select * into r from reservation where reservation_id = p_reservation_id for no key update;
    if not found then
        outcome := 'not_found';
        return next;
        return;
    end if;
    <<decide>>
    begin
        select a.amount into amount from payment_attempt a where a.turn = p_turn;
        outcome := 'again';
        exit decide when found;
        outcome := 'open';
        exit decide when exists (select from payment_attempt a where a.reservation_id = r.reservation_id
                                 and a.status in ('due', 'prompting', 'pending'));
        outcome := 'over';
        exit decide when not (r.status in ('held', 'paying') and r.hold_expires_at > now()
                              or r.status = 'confirmed' and r.paid > 0);
        outcome := 'too_often';
        exit decide when p_attempts_max <= (select count(*) from payment_attempt a
                                            where a.reservation_id = r.reservation_id);
        select p.deposit_percent into percent from property p where p.property_id = r.property_id;
        if r.status <> 'confirmed' then
            r.to_pay := case when p_way = 'deposit' and percent > 0
                             then deposit_of(r.total, percent, p_minor_per_unit) else r.total end;
        end if;
        amount := case when r.status = 'confirmed' then r.total else r.to_pay end - r.paid;
        outcome := 'settled';
        exit decide when amount <= 0;
        -- A hold is made longer once, by its first prompt.
        update reservation x set to_pay = r.to_pay,
            hold_expires_at = case when r.status = 'held' then greatest(x.hold_expires_at, now() + p_hold)
                                   else x.hold_expires_at end
        where x.reservation_id = r.reservation_id;
        if r.status = 'held' then
            perform move_reservation(r.reservation_id, 'paying', p_who, p_channel, 'a payment was asked for', p_turn, '[]');
        end if;
        insert into payment_attempt (attempt_id, reservation_id, provider, msisdn, amount, currency, secret, turn, due_at)
        values (p_attempt_id, r.reservation_id, p_provider, p_msisdn, amount, r.currency, p_secret, p_turn, now() + p_wait);
        outcome := 'asked';
    end;
    select v.* into shown from reservation_shown v where v.reservation_id = p_reservation_id;
    return next;
end $$;

-- The guest pays on arrival where the lodge takes that too. Outcomes: those of move_reservation, and not_allowed.
create function pay_at_lodge(
    p_reservation_id uuid, p_who text, p_channel text, p_turn text, p_outbox jsonb
) returns text language plpgsql as $$
declare
    r       reservation;
    allowed boolean;
begin
    select * into r from reservation where reservation_id = p_reservation_id for no key update;
    if not found then
        return 'not_found';
    end if;
    if exists (select from reservation_event e where e.turn = p_turn) then
        return 'again';
    end if;
    select p.pay_at_lodge_too into allowed from property p where p.property_id = r.property_id;
    if not allowed or r.status <> 'held' or r.hold_expires_at <= now() then
        return 'not_allowed';
    end if;
    update reservation set pay = 'at_lodge' where reservation_id = p_reservation_id;
    return move_reservation(p_reservation_id, 'confirmed', p_who, p_channel, 'pays on arrival', p_turn, p_outbox);
end $$;

-- Money has come, by a prompt (p_attempt_id) or by hand (p_code, what the payer typed as p_reference). Written once:
-- a receipt is a payment, and a prompt's success that told no receipt is the payment that a later receipt names.
-- p_texts has the drafts of each end by its name; p_paid_seen and p_status_seen are what they were written from.
-- Outcomes: again, moved (the reservation is not as it was seen, nothing is written), unallocated, and those of
-- allocate_payment.
create function settle_payment(
    p_provider text, p_receipt text, p_attempt_id uuid, p_code text, p_reference text, p_amount bigint,
    p_currency text, p_paid_at timestamptz, p_at timestamptz, p_paid_seen bigint, p_status_seen text, p_texts jsonb
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
    values (payment_id, owner, 'paid', 'unallocated', p_amount, p_currency, 'it came');
    update payment_attempt a set status = 'paid', failure = null where a.attempt_id = attempt and a.status <> 'paid';
    if owner is null or r.currency <> p_currency then
        update payment p set reservation_id = null where p.payment_id = settle_payment.payment_id;
        outcome := 'unallocated';
    else
        outcome := allocate_payment(payment_id, owner, p_at, 'provider', 'payment', 'a payment came', p_texts);
    end if;
    return next;
end $$;

-- What an unallocated payment does for a reservation, whose lock the caller holds or this takes. Outcomes: confirmed;
-- part (more has to come before it is confirmed); topped_up (it was confirmed before); refund_due (all of it is to go
-- back). What is too much goes back with any of them.
create function allocate_payment(
    p_payment_id uuid, p_reservation_id uuid, p_at timestamptz, p_who text, p_channel text, p_why text, p_texts jsonb
) returns text language plpgsql as $$
declare
    r       reservation;
    amount  bigint := ledger_balance(p_payment_id, 'unallocated');
    take    bigint := 0;
    today   date;
    moved   text;
    outcome text := 'refund_due';
    nth     integer;
begin
    select * into r from reservation where reservation_id = p_reservation_id for no key update;
    select (p_at at time zone p.time_zone)::date into today from property p where p.property_id = r.property_id;
    if r.status in ('held', 'paying', 'confirmed', 'checked_in', 'completed')
       or r.status = 'expired' and r.check_in >= today then
        take := least(amount, r.total - r.paid);
    end if;
    if take > 0 and r.status in ('held', 'paying', 'expired') then
        if r.paid + take >= coalesce(r.to_pay, r.total) then
            moved := move_reservation(p_reservation_id, 'confirmed', p_who, p_channel,
                                      case when r.hold_expires_at <= p_at then p_why || ', late' else p_why end,
                                      'payment ' || p_payment_id, coalesce(p_texts -> 'confirmed', '[]'));
            if moved = 'done' then
                outcome := 'confirmed';
            else
                take := 0;
            end if;
        elsif r.status = 'expired' then
            -- Not enough to take the nights again.
            take := 0;
        else
            if r.status = 'held' then
                perform move_reservation(p_reservation_id, 'paying', p_who, p_channel, p_why, 'payment ' || p_payment_id, '[]');
            end if;
            outcome := 'part';
        end if;
    elsif take > 0 then
        outcome := 'topped_up';
    end if;

    select count(*) into nth from payment p where p.reservation_id = p_reservation_id;
    update payment set reservation_id = p_reservation_id where payment_id = p_payment_id and reservation_id is null;
    if take > 0 then
        insert into ledger (payment_id, reservation_id, debit, credit, amount, currency, why)
        values (p_payment_id, p_reservation_id, 'unallocated', 'applied', take, r.currency, outcome);
        update reservation set paid = paid + take where reservation_id = p_reservation_id;
        if outcome in ('part', 'topped_up') then
            perform write_outbox(p_reservation_id, coalesce(p_texts -> outcome, '[]'), nth);
        end if;
    end if;
    if take < amount then
        insert into ledger (payment_id, reservation_id, debit, credit, amount, currency, why)
        values (p_payment_id, p_reservation_id, 'unallocated', 'refund_due', amount - take, r.currency,
                case take when 0 then 'the nights are gone' else 'more than was due' end);
        insert into refund (payment_id, reservation_id, amount, currency, why, requested_by)
        values (p_payment_id, p_reservation_id, amount - take, r.currency,
                case take when 0 then 'the nights are gone' else 'more than was due' end, 'system');
        update reservation set refund = refund + amount - take where reservation_id = p_reservation_id;
        if take = 0 and exists (select from reservation_move m
                                where m.from_status = r.status and m.to_status = 'refund_due') then
            perform move_reservation(p_reservation_id, 'refund_due', p_who, p_channel, p_why || ', nights gone', null, '[]');
        end if;
        perform write_outbox(p_reservation_id, coalesce(p_texts -> case take when 0 then 'refund_due' else 'surplus' end, '[]'), nth);
    end if;
    return outcome;
end $$;

-- Makes refunds of so much of what was applied to a reservation, the last payment first.
create function return_money(p_reservation_id uuid, p_amount bigint, p_why text, p_by text) returns void
language plpgsql as $$
declare
    rest bigint := p_amount;
    part bigint;
    row  record;
begin
    for row in
        select p.payment_id, p.currency, ledger_balance(p.payment_id, 'applied') as applied
        from payment p where p.reservation_id = p_reservation_id order by p.created_at desc
    loop
        part := least(rest, row.applied);
        continue when part <= 0;
        insert into ledger (payment_id, reservation_id, debit, credit, amount, currency, why)
        values (row.payment_id, p_reservation_id, 'applied', 'refund_due', part, row.currency, p_why);
        insert into refund (payment_id, reservation_id, amount, currency, why, requested_by)
        values (row.payment_id, p_reservation_id, part, row.currency, p_why, p_by);
        rest := rest - part;
    end loop;
    update reservation set paid = paid - (p_amount - rest), refund = refund + (p_amount - rest)
    where reservation_id = p_reservation_id;
end $$;

-- A refund has reached the payer: the last one of a reservation ends it. False: it is not open.
create function end_refund(p_refund_id uuid, p_receipt text, p_by text) returns boolean language plpgsql as $$
declare
    f refund;
begin
    update refund set status = 'done', receipt = coalesce(p_receipt, receipt), ended_at = now(), due_at = null
    where refund_id = p_refund_id and status in ('approved', 'sending', 'sent', 'refused') returning * into f;
    if not found then
        return false;
    end if;
    insert into ledger (payment_id, reservation_id, debit, credit, amount, currency, why)
    values (f.payment_id, f.reservation_id, 'refund_due', 'refunded', f.amount, f.currency, 'sent back');
    if not exists (select from refund o where o.reservation_id = f.reservation_id and o.status <> 'done')
       and exists (select from reservation r where r.reservation_id = f.reservation_id and r.status = 'refund_due') then
        perform move_reservation(f.reservation_id, 'refunded', p_by, 'payment', 'the money went back', null, '[]');
    end if;
    return true;
end $$;

-- Everything about money that does not add up, as a rule and what breaks it; no row when all does.
create function money_faults() returns table (rule text, what text) language sql stable as $$
    with side as (
        select payment_id, reservation_id, debit as account, -amount as amount from ledger
        union all
        select payment_id, reservation_id, credit, amount from ledger
    ), of_payment as (
        select payment_id, -coalesce(sum(amount) filter (where account = 'paid'), 0) as paid,
               coalesce(sum(amount) filter (where account = 'refund_due'), 0) as refund_due
        from side group by payment_id
    ), of_reservation as (
        select reservation_id, sum(amount) as applied from side
        where account = 'applied' and reservation_id is not null group by reservation_id
    ), refunding as (
        select payment_id, sum(amount) as amount from refund where status <> 'done' group by payment_id
    )
    select 'a payment is in the ledger in full', p.payment_id || ': ' || p.amount || ' came, ' || coalesce(o.paid, 0) || ' written'
    from payment p left join of_payment o on o.payment_id = p.payment_id
    where p.amount is distinct from o.paid
    union all
    select 'no account is below zero', payment_id || ': ' || account
    from side where account <> 'paid' group by payment_id, account having sum(amount) < 0
    union all
    select 'a ledger row has the currency of its payment', l.ledger_id::text
    from ledger l join payment p on p.payment_id = l.payment_id where l.currency <> p.currency
    union all
    select 'what is applied is what reservations have', r.code || ': ' || r.paid || ' on it, ' || coalesce(o.applied, 0) || ' in the ledger'
    from reservation r left join of_reservation o on o.reservation_id = r.reservation_id
    where r.paid <> coalesce(o.applied, 0)
    union all
    select 'what is to go back has its refunds', o.payment_id || ': ' || o.refund_due || ' due, ' || coalesce(f.amount, 0) || ' in refunds'
    from of_payment o left join refunding f on f.payment_id = o.payment_id
    where o.refund_due <> coalesce(f.amount, 0)
    union all
    select 'a confirmed reservation that wants money first has it', r.code || ': ' || r.paid || ' of ' || coalesce(r.to_pay, r.total)
    from reservation r
    where r.status in ('confirmed', 'checked_in', 'completed') and r.pay = 'prepay' and r.paid < coalesce(r.to_pay, r.total)
    union all
    select 'money of a reservation that is over goes back', r.code || ': ' || r.paid || ' stays on it'
    from reservation r where r.status in ('expired', 'refund_due', 'refunded') and r.paid > 0
    union all
    select 'an open attempt is a day old at most, or somebody is alarmed', a.attempt_id::text
    from payment_attempt a
    where a.status in ('due', 'prompting', 'pending') and a.created_at < now() - interval '25 hours' and a.alarmed_at is null
    union all
    select 'a callback is applied soon', c.callback_id::text
    from payment_callback c where c.applied_at is null and c.received_at < now() - interval '1 hour'
$$;

-- As before, and also reservations that are being paid: not while a prompt is under way that may still bring money, but
-- for no longer than a prompt lives. What had been paid of one goes back.
create or replace function expire_holds(p_limit integer) returns bigint language plpgsql as $$
declare
    due reservation[];
    r   reservation;
begin
    select array_agg(locked) into due
    from (select x.* from reservation x
          where x.status in ('held', 'paying') and x.hold_expires_at <= now()
            and not exists (select from payment_attempt a
                            where a.reservation_id = x.reservation_id and a.status in ('due', 'prompting', 'pending')
                              and a.created_at > now() - interval '15 minutes')
          order by x.hold_expires_at limit p_limit for no key update skip locked) locked;
    if due is null then
        return 0;
    end if;
    perform give_nights_back(array(select d.reservation_id from unnest(due) d));
    update reservation set status = 'expired' where reservation_id in (select d.reservation_id from unnest(due) d);
    insert into reservation_event (reservation_id, from_status, to_status, who, channel, why)
    select d.reservation_id, d.status, 'expired', 'system', 'job', 'the hold ran out' from unnest(due) d;
    foreach r in array due loop
        if r.paid > 0 then
            perform return_money(r.reservation_id, r.paid, 'the hold ran out', 'system');
            perform move_reservation(r.reservation_id, 'refund_due', 'system', 'job', 'it was paid in part', null, '[]');
        end if;
    end loop;
    return cardinality(due);
end $$;

-- As before, and what had been paid goes back but for what cancelling costs. A reservation that is being paid can be
-- cancelled too: money that comes afterwards goes back.
create or replace function cancel_reservation(
    p_reservation_id uuid, p_at timestamptz, p_cost_shown bigint, p_who text, p_channel text, p_why text,
    p_turn text, p_outbox jsonb
) returns table (outcome text, cost bigint, shown reservation_shown) language plpgsql as $$
declare
    r    reservation;
    back bigint;
begin
    select * into r from reservation where reservation_id = p_reservation_id for no key update;
    if not found then
        outcome := 'not_found';
        return next;
        return;
    end if;
    cost := case p_who when 'guest' then cancel_cost(r, p_at) else 0 end;
    outcome := case
        when r.status in ('cancelled', 'expired', 'refund_due', 'refunded') then 'already_cancelled'
        when r.status not in ('held', 'paying', 'confirmed') then 'too_late'
        when cost <> p_cost_shown then 'costs'
        else move_reservation(p_reservation_id, 'cancelled', p_who, p_channel, p_why, p_turn, p_outbox)
    end;
    if outcome = 'already_cancelled' and p_turn is not null
       and exists (select from reservation_event e where e.turn = p_turn) then
        outcome := 'again';
    end if;
    if outcome = 'done' then
        update reservation set cancel_cost = cost where reservation_id = p_reservation_id;
        back := r.paid - least(cost, r.paid);
        if back > 0 then
            perform return_money(p_reservation_id, back, 'it was cancelled', 'system');
            perform move_reservation(p_reservation_id, 'refund_due', 'system', p_channel, 'it was paid', null, '[]');
        end if;
    end if;
    select v.* into shown from reservation_shown v where v.reservation_id = p_reservation_id;
    return next;
end $$;

-- A person has taken the money. As before, and counted: p_turn is its receipt.
create or replace function confirm_reservation(
    p_reservation_id uuid, p_at timestamptz, p_who text, p_channel text, p_why text, p_turn text,
    p_confirmed jsonb, p_refund_due jsonb
) returns text language plpgsql as $$
declare
    r    reservation;
    came uuid;
begin
    select * into r from reservation where reservation_id = p_reservation_id for no key update;
    if not found then
        return 'not_found';
    end if;
    select p.payment_id into came from payment p where p.provider = 'operator' and p.receipt = p_turn;
    if found then
        return case when ledger_balance(came, 'applied') > 0 then 'confirmed' else 'refund_due' end;
    end if;
    if r.status not in ('held', 'paying', 'expired', 'cancelled') or r.paid >= r.total then
        return 'refused';
    end if;
    insert into payment (payment_id, provider, receipt, reservation_id, reference, amount, currency, paid_at)
    values (gen_random_uuid(), 'operator', p_turn, p_reservation_id, p_why, r.total - r.paid, r.currency, p_at)
    returning payment_id into came;
    insert into ledger (payment_id, reservation_id, debit, credit, amount, currency, why)
    values (came, p_reservation_id, 'paid', 'unallocated', r.total - r.paid, r.currency, p_why);
    return allocate_payment(came, p_reservation_id, p_at, p_who, p_channel, p_why,
                            jsonb_build_object('confirmed', p_confirmed, 'refund_due', p_refund_due));
end $$;
