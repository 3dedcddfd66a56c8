-- Whether the guest was told that the money went back: also of what a person has sent by hand, and after a crash.
alter table refund add column told_at timestamptz;
update refund set told_at = ended_at where status = 'done';
create index refund_untold on refund (ended_at) where status = 'done' and told_at is null;
