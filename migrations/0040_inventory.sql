-- What a host says of nights beyond units and price, what a stay costs beyond its nights, and who may hold how much
-- unpaid. available_units stays what may be sold of a night, out-of-service units taken off.

alter table property
    add column min_stay          smallint not null default 1 check (min_stay between 1 and 30),
    add column max_stay          smallint not null default 30 check (max_stay between 1 and 30),
    -- Booked at least so many hours before check-in time; 0: also during the night itself.
    add column advance_hours_min integer  not null default 0 check (advance_hours_min >= 0),
    -- Booked at most so many days before the first night.
    add column advance_days_max  integer  not null default 365 check (advance_days_max between 0 and 365),
    -- How much of a night may be on unpaid holds of numbers that have not stayed before; one unit always may.
    add column unpaid_percent    smallint not null default 30 check (unpaid_percent between 0 and 100),
    -- [{"name": "City tax", "per": "stay" | "night" | "person_night" | "percent", "amount": 200, "included": false}];
    -- amount in minor units, of percent in hundredths; per stay and per night it is for each unit.
    add column fees              jsonb    not null default '[]';

alter table property_availability
    add column closed              boolean  not null default false,
    add column out_of_service      integer  not null default 0 check (out_of_service >= 0),
    -- Of stays that arrive on this night; null: as the property says.
    add column min_stay            smallint check (min_stay between 1 and 30),
    add column max_stay            smallint check (max_stay between 1 and 30),
    add column closed_to_arrival   boolean  not null default false,
    -- Nobody leaves on the morning of this date.
    add column closed_to_departure boolean  not null default false;

alter table reservation
    -- Reservations made all or none by one turn have its numbers 0, 1, 2 ….
    add column turn_part integer not null default 0,
    -- [{"name", "amount", "included"}] in minor units, frozen; total = units * sum of nights + amounts not included.
    add column fees      jsonb   not null default '[]',
    -- A hold of a number that had not stayed before.
    add column stranger  boolean not null default false,
    drop constraint reservation_turn,
    add constraint reservation_turn unique (turn_door, turn_session, turn_position, turn_part);
create index reservation_unpaid on reservation (property_id, check_in) where status in ('held', 'paying');

-- The amounts of a stay's fees for all its units: [{"name", "amount", "included"}]. What is included is told, not added.
-- Each is rounded once, half up, to whole minor units. In plpgsql, which keeps the plan.
create function fee_lines(
    p_fees jsonb, p_price bigint, p_nights integer, p_units integer, p_guests integer
) returns jsonb language plpgsql immutable parallel safe as $$
begin
    if p_fees = '[]' then
        return p_fees;
    end if;
    return (
        select jsonb_agg(jsonb_build_object(
            'name', f.name,
            'amount', case f.per
                when 'stay' then f.amount * p_units
                when 'night' then f.amount * p_nights * p_units
                when 'person_night' then f.amount * p_nights * p_guests
                when 'percent' then round(case when f.included then p_price * f.amount / (10000.0 + f.amount)
                                               else p_price * f.amount / 10000.0 end)::bigint
            end,
            'included', f.included) order by f.place)
        from rows from (jsonb_to_recordset(p_fees) as (name text, per text, amount bigint, included boolean))
             with ordinality as f (name, per, amount, included, place));
end $$;

-- What fee lines add to the price.
create function fees_added(p_lines jsonb) returns bigint language plpgsql immutable parallel safe as $$
begin
    if p_lines = '[]' then
        return 0;
    end if;
    return (select coalesce(sum((line ->> 'amount')::bigint), 0) from jsonb_array_elements(p_lines) line
            where not (line ->> 'included')::boolean);
end $$;

-- Why a stay cannot be booked though its nights may be free, as a word and a number; null when it can. p_min_stay to
-- p_no_arrival are those of the night of arrival, p_no_departure is that of the day of leaving. One expression, so that
-- it becomes part of the query that calls it.
create function stay_restriction(
    home property, p_check_in date, p_check_out date, p_min_stay smallint, p_max_stay smallint, p_no_arrival boolean,
    p_no_departure boolean, p_at timestamptz
) returns text language sql stable parallel safe
return case
    when p_check_out - p_check_in < coalesce(p_min_stay, (home).min_stay)
        then 'min_stay ' || coalesce(p_min_stay, (home).min_stay)
    when p_check_out - p_check_in > coalesce(p_max_stay, (home).max_stay)
        then 'max_stay ' || coalesce(p_max_stay, (home).max_stay)
    when p_no_arrival then 'no_arrival 0'
    when p_no_departure then 'no_departure 0'
    when p_check_in - (p_at at time zone (home).time_zone)::date > (home).advance_days_max
        then 'too_early ' || (home).advance_days_max
    when (home).advance_hours_min > 0
        and p_at > (p_check_in + (home).check_in_time) at time zone (home).time_zone
                   - make_interval(hours => (home).advance_hours_min)
        then 'too_late ' || (home).advance_hours_min
end;
