-- Holds that have just run out, whose guests are told so.
create index reservation_ended on reservation (hold_expires_at) where status = 'expired';
