-- A reminder of a stay and a host's digest can wait for what somebody waits for; that a hold runs out cannot.

alter table outbox drop column priority;
alter table outbox add column priority smallint not null generated always as (
    case when kind in ('remind_stay', 'host_digest') then 2 when starts_with(kind, 'host_') then 1 else 0 end) stored;
create index outbox_due on outbox (priority, due_at) where status in ('pending', 'sending', 'unknown');
