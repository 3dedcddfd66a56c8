-- Guests whom no SMS reaches are looked for every minute.

create index outbox_unreached on outbox (reservation_id) where kind = 'confirmed' and status = 'failed';
