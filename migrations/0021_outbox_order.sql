-- After an outage a whole backlog is due at once: what a guest waits for goes before what a host is told, and that before
-- reminders. The index hands the rows out in this order.

alter table outbox add column priority smallint not null generated always as (
    case when starts_with(kind, 'reminder') then 2 when starts_with(kind, 'host_') then 1 else 0 end) stored;
drop index outbox_due;
create index outbox_due on outbox (priority, due_at) where status in ('pending', 'sending', 'unknown');
