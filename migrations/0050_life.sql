-- The life of a reservation: one table of allowed moves, and one function that every move goes through. It compares and
-- sets, gives nights back or takes them again, and writes event and messages, all in the transaction of its caller.

create table reservation_move (
    from_status text not null,
    to_status   text not null,
    primary key (from_status, to_status)
);
insert into reservation_move (from_status, to_status) values
    ('held', 'paying'), ('held', 'confirmed'), ('held', 'expired'), ('held', 'cancelled'),
    ('paying', 'confirmed'), ('paying', 'expired'), ('paying', 'cancelled'), ('paying', 'refund_due'),
    ('confirmed', 'checked_in'), ('confirmed', 'cancelled'), ('confirmed', 'no_show'),
    ('checked_in', 'completed'),
    ('expired', 'confirmed'), ('expired', 'refund_due'),
    ('cancelled', 'refund_due'),
    ('refund_due', 'refunded');

-- Also for whoever writes SQL by hand.
create function reservation_move_is_allowed() returns trigger language plpgsql as $$
begin
    if not exists (select from reservation_move m where m.from_status = old.status and m.to_status = new.status) then
        raise exception 'a reservation does not go from % to %', old.status, new.status
            using errcode = 'check_violation', constraint = 'reservation_move';
    end if;
    return new;
end $$;
create trigger reservation_move before update of status on reservation
    for each row when (old.status <> new.status) execute function reservation_move_is_allowed();

-- Whether the nights of a reservation in this state are taken from others. A stay that is over keeps its nights: they
-- were slept.
create function takes_nights(p_status text) returns boolean language sql immutable parallel safe
return p_status in ('held', 'paying', 'confirmed', 'checked_in', 'completed');

-- The acknowledged action that caused a move: repeated, it finds the event that it already made.
alter table reservation_event add column turn text;
create unique index reservation_event_turn on reservation_event (turn) where turn is not null;

-- In minor units: what the guest was charged for cancelling, and what is to go back to the guest.
alter table reservation add column cancel_cost bigint not null default 0;
alter table reservation add column refund bigint not null default 0;
-- How often its dates were changed; messages about the dates go out once for each.
alter table reservation add column changes integer not null default 0;
alter table outbox add column nth integer not null default 0;
drop index outbox_once;
create unique index outbox_once on outbox (reservation_id, kind, msisdn, nth) where reservation_id is not null;

-- After so many hours past check-in time a guest who has not come is taken for a no-show. Null: only the host says so.
alter table property add column no_show_hours integer check (no_show_hours > 0);

create or replace view reservation_shown as
select r.reservation_id, r.code, r.property_id, p.name as property_name, p.phone as property_phone, p.landmark,
       t.name as town, h.msisdn as host_msisdn, h.language as host_language, r.check_in, r.check_out, r.units,
       r.guests, r.msisdn, r.guest_msisdn, r.guest_name, r.language, r.status, r.total, r.currency, r.pay,
       p.check_in_time, r.cancel_hours, r.hold_expires_at, p.time_zone, r.turn_door, r.turn_session, r.turn_position,
       r.changes, r.refund
from reservation r
join property p on p.property_id = r.property_id
join host h on h.host_id = p.host_id
join place t on t.place_id = p.town;

drop function write_outbox(uuid, jsonb);
create function write_outbox(p_reservation_id uuid, p_outbox jsonb, p_nth integer default 0) returns void
language plpgsql as $$
begin
    insert into outbox (reservation_id, kind, msisdn, text, expires_at, nth)
    select p_reservation_id, d.kind, d.msisdn, d.text, d.expires_at, p_nth
    from jsonb_to_recordset(p_outbox) as d (kind text, msisdn text, text text, expires_at timestamptz)
    on conflict do nothing;
end $$;

-- The caller holds the reservation's lock. False, and nothing is taken, unless every night is free.
create function take_nights_again(r reservation) returns boolean language plpgsql as $$
declare
    free_nights integer;
begin
    select count(*) filter (where locked.free) into free_nights
    from (select a.reserved_units + r.units <= a.available_units as free
          from property_availability a
          where a.property_id = r.property_id and a.date >= r.check_in and a.date < r.check_out
          order by a.date for no key update) locked;
    if free_nights <> r.check_out - r.check_in then
        return false;
    end if;
    update property_availability a set reserved_units = a.reserved_units + r.units, updated_at = now()
    where a.property_id = r.property_id and a.date >= r.check_in and a.date < r.check_out;
    return true;
end $$;

-- Outcomes: done, again (this turn has done it), refused (not from this state), taken (its nights were given back and
-- are not free any more), not_found. Only done has written anything.
create function move_reservation(
    p_reservation_id uuid, p_to text, p_who text, p_channel text, p_why text, p_turn text, p_outbox jsonb
) returns text language plpgsql as $$
declare
    r reservation;
begin
    select * into r from reservation where reservation_id = p_reservation_id for no key update;
    if not found then
        return 'not_found';
    end if;
    if p_turn is not null and exists (select from reservation_event e where e.turn = p_turn) then
        return 'again';
    end if;
    if not exists (select from reservation_move m where m.from_status = r.status and m.to_status = p_to) then
        return 'refused';
    end if;
    if takes_nights(r.status) and not takes_nights(p_to) then
        perform give_nights_back(array[p_reservation_id]);
    elsif takes_nights(p_to) and not takes_nights(r.status) and not take_nights_again(r) then
        return 'taken';
    end if;
    update reservation set status = p_to where reservation_id = p_reservation_id;
    insert into reservation_event (reservation_id, from_status, to_status, who, channel, why, turn)
    values (p_reservation_id, r.status, p_to, p_who, p_channel, p_why, p_turn);
    perform write_outbox(p_reservation_id, p_outbox, r.changes);
    return 'done';
end $$;

-- Money has come. A hold is confirmed; one that ran out takes its nights again while they are free and the stay has
-- not begun the day before; money for anything else that is over is to go back. Outcomes: confirmed, refund_due (now, or
-- by this turn before), refused (it is confirmed, or was), not_found.
create function confirm_reservation(
    p_reservation_id uuid, p_at timestamptz, p_who text, p_channel text, p_why text, p_turn text,
    p_confirmed jsonb, p_refund_due jsonb
) returns text language plpgsql as $$
declare
    r     reservation;
    today date;
    late  boolean;
    moved text;
begin
    select * into r from reservation where reservation_id = p_reservation_id for no key update;
    if not found then
        return 'not_found';
    end if;
    if exists (select from reservation_event e where e.turn = p_turn) then
        return (select e.to_status from reservation_event e where e.turn = p_turn);
    end if;
    select (p_at at time zone p.time_zone)::date into today from property p where p.property_id = r.property_id;
    -- A hold that is over and not yet swept has kept its nights: it needs no second look at them.
    late := r.hold_expires_at <= p_at;
    if r.status in ('held', 'paying') or (r.status = 'expired' and r.check_in >= today) then
        moved := move_reservation(p_reservation_id, 'confirmed', p_who, p_channel,
                                  case when late then p_why || ', late' else p_why end, p_turn, p_confirmed);
        if moved <> 'taken' then
            return case moved when 'done' then 'confirmed' else moved end;
        end if;
    end if;
    moved := move_reservation(p_reservation_id, 'refund_due', p_who, p_channel, p_why || ', nights gone', p_turn,
                              p_refund_due);
    if moved = 'done' then
        update reservation set refund = r.total where reservation_id = p_reservation_id;
        return 'refund_due';
    end if;
    return moved;
end $$;

-- What a guest is charged who cancels now, in minor units: nothing for a hold and until cancel_hours before check-in,
-- then the first night.
create function cancel_cost(r reservation, p_at timestamptz) returns bigint language sql stable
return case
    when r.status <> 'confirmed' then 0
    when p_at <= (select (r.check_in + p.check_in_time) at time zone p.time_zone - make_interval(hours => r.cancel_hours)
                  from property p where p.property_id = r.property_id) then 0
    else least(r.nightly_prices[1] * r.units, r.total)
end;

-- Cancels and gives the nights back once. A guest pays cancel_cost() and must have been shown it; whom the lodge or
-- the operator turns away pays nothing. Outcomes: done, again (this turn has done it), costs (not what was shown),
-- too_late (a payment is under way, or the stay has begun), already_cancelled (its nights went back before), not_found.
drop function cancel_reservation(uuid, timestamptz, text, text, text, jsonb);
create function cancel_reservation(
    p_reservation_id uuid, p_at timestamptz, p_cost_shown bigint, p_who text, p_channel text, p_why text,
    p_turn text, p_outbox jsonb
) returns table (outcome text, cost bigint, shown reservation_shown) language plpgsql as $$
declare
    r reservation;
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
        when r.status not in ('held', 'confirmed') then 'too_late'
        when cost <> p_cost_shown then 'costs'
        else move_reservation(p_reservation_id, 'cancelled', p_who, p_channel, p_why, p_turn, p_outbox)
    end;
    if outcome = 'already_cancelled' and p_turn is not null
       and exists (select from reservation_event e where e.turn = p_turn) then
        outcome := 'again';
    end if;
    if outcome = 'done' then
        update reservation set cancel_cost = cost,
            refund = case when r.pay = 'prepay' and r.status = 'confirmed' then r.total - cost else 0 end
        where reservation_id = p_reservation_id;
        if r.pay = 'prepay' and r.status = 'confirmed' and r.total > cost then
            perform move_reservation(p_reservation_id, 'refund_due', 'system', p_channel, 'it was paid', null, '[]');
        end if;
    end if;
    select v.* into shown from reservation_shown v where v.reservation_id = p_reservation_id;
    return next;
end $$;

-- Guests of lodges with a cut-off who have not come by then: their nights go back. Says how many of at most p_limit.
create function mark_no_shows(p_at timestamptz, p_limit integer) returns bigint language plpgsql as $$
declare
    due uuid[];
begin
    select array_agg(locked.reservation_id) into due
    from (select r.reservation_id
          from property p join reservation r on r.property_id = p.property_id
          where p.no_show_hours is not null and r.status = 'confirmed'
            and r.check_in >= (p_at - interval '60 days')::date and r.check_in <= (p_at + interval '1 day')::date
            and (r.check_in + p.check_in_time) at time zone p.time_zone
                + make_interval(hours => p.no_show_hours) <= p_at
          limit p_limit for no key update of r skip locked) locked;
    if due is null then
        return 0;
    end if;
    perform give_nights_back(due);
    update reservation set status = 'no_show' where reservation_id = any (due);
    insert into reservation_event (reservation_id, from_status, to_status, who, channel, why)
    select unnest(due), 'confirmed', 'no_show', 'system', 'job', 'not there by the cut-off';
    return cardinality(due);
end $$;

-- Ends up to p_limit stays at noon of their check-out and says how many. Where the lodge has not said whether the
-- guest came, the guest is taken to have come.
create function complete_stays(p_at timestamptz, p_limit integer) returns bigint language plpgsql as $$
declare
    due  uuid[];
    came uuid[];
begin
    select array_agg(locked.reservation_id),
           array_agg(locked.reservation_id) filter (where locked.status = 'confirmed')
    into due, came
    from (select r.reservation_id, r.status
          from property p join reservation r on r.property_id = p.property_id
          where r.status in ('confirmed', 'checked_in')
            and r.check_in >= (p_at - interval '60 days')::date and r.check_in <= (p_at + interval '1 day')::date
            and (r.check_out + time '12:00') at time zone p.time_zone <= p_at
          limit p_limit for no key update of r skip locked) locked;
    if due is null then
        return 0;
    end if;
    update reservation set status = 'checked_in' where reservation_id = any (came);
    insert into reservation_event (reservation_id, from_status, to_status, who, channel, why)
    select unnest(came), 'confirmed', 'checked_in', 'system', 'job', 'the lodge has not said otherwise';
    update reservation set status = 'completed' where reservation_id = any (due);
    insert into reservation_event (reservation_id, from_status, to_status, who, channel, why)
    select unnest(due), 'checked_in', 'completed', 'system', 'job', 'the stay is over';
    return cardinality(due);
end $$;
