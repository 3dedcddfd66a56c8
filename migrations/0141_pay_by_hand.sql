-- Who pays by typing a pay bill's number, perhaps once money is in the account, takes longer than who is prompted.
alter table property
    -- Minutes from the booking on; 0: no longer than any hold of this property.
    add column by_hand_minutes integer not null default 0 check (by_hand_minutes between 0 and 120);

-- A hold that is to be paid by hand, as long as the property allows: counted from the booking, so that asking again changes
-- nothing. No row: there is no such reservation.
create function hold_by_hand(p_reservation_id uuid) returns setof reservation_shown language plpgsql as $$
begin
    update reservation r
    set hold_expires_at = greatest(r.hold_expires_at, r.created_at + make_interval(mins => p.by_hand_minutes))
    from property p
    where r.reservation_id = p_reservation_id and p.property_id = r.property_id
      and r.status in ('held', 'paying') and r.hold_expires_at > now();
    return query select v.* from reservation_shown v where v.reservation_id = p_reservation_id;
end $$;

-- As before, and also after prompts that took no money.
create or replace function pay_at_lodge(
    p_reservation_id uuid, p_who text, p_channel text, p_turn text, p_outbox jsonb
) returns text language plpgsql as $$
declare
    r reservation;
begin
    select * into r from reservation where reservation_id = p_reservation_id for no key update;
    if not found then
        return 'not_found';
    end if;
    if exists (select from reservation_event e where e.turn = p_turn) then
        return 'again';
    end if;
    if not can_pay_at_lodge(r) or r.hold_expires_at <= now() then
        return 'not_allowed';
    end if;
    update reservation set pay = 'at_lodge' where reservation_id = p_reservation_id;
    return move_reservation(p_reservation_id, 'confirmed', p_who, p_channel, 'pays on arrival', p_turn, p_outbox);
end $$;

-- Whether a hold can be paid on arrival: where the lodge takes that, and no money has come or may be under way.
create function can_pay_at_lodge(r reservation) returns boolean language sql stable as $$
    select r.status in ('held', 'paying') and r.paid = 0
       and (r.pay = 'at_lodge' or (select p.pay_at_lodge_too from property p where p.property_id = r.property_id))
       and not exists (select from payment_attempt a where a.reservation_id = r.reservation_id
                       and a.status in ('due', 'prompting', 'pending'))
$$;
