-- SMS over several routes: which one a message took, parts of long messages that wait for each other, and messages
-- that nobody has reported on.

alter table outbox add column route text;
alter table outbox add column polled_at timestamptz;
alter table outbox drop constraint outbox_status_check;
alter table outbox add constraint outbox_status_check check (status in (
    'pending', 'sending', 'accepted', 'sent', 'buffered', 'unconfirmed', 'delivered', 'failed', 'expired', 'unknown', 'dropped'));
-- What a report is still awaited on.
create index outbox_unreported on outbox (sent_at) where status in ('accepted', 'sent', 'buffered');

-- Parts of a long message that the provider hands over one by one, in any order; joined or dropped soon.
create table inbound_part (
    provider    text not null,
    msisdn      text not null,
    recipient   text not null,
    reference   text not null,
    total       smallint not null,
    number      smallint not null,
    provider_id text not null,
    text        text not null,
    at          timestamptz not null default now(),
    primary key (provider, msisdn, recipient, reference, total, number)
);
create index inbound_part_at on inbound_part (at);
