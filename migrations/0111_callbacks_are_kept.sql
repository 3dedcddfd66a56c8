-- What a provider posted is evidence in a dispute: nobody changes or deletes it. What became of it is noted once.

create function payment_callbacks_are_kept() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' then
        if old.applied_at is null
           and to_jsonb(new) - '{applied_at,outcome}'::text[] = to_jsonb(old) - '{applied_at,outcome}'::text[] then
            return new;
        end if;
    end if;
    raise exception 'payment_callback is only added to' using errcode = 'restrict_violation';
end $$;
create trigger payment_callback_append_only before update or delete on payment_callback
    for each row execute function payment_callbacks_are_kept();
create trigger payment_callback_not_emptied before truncate on payment_callback
    for each statement execute function payment_callbacks_are_kept();
