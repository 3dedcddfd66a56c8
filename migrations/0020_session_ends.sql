-- Session ids come again: short ones within the day, a phone number as an id with every dialogue. Each end is a row of its
-- own; that one told twice is kept once is for the statement that writes it to see to.

alter table session_end drop constraint session_end_pkey;
alter table session_end add column session_end_id bigint generated always as identity primary key;
create index session_end_session on session_end (aggregator, session, at);
