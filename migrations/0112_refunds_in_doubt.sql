-- A refund whose fate is unknown is asked about, never sent twice. How often its provider was asked:
alter table refund add column asked integer not null default 0;
