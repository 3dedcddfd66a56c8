-- How far callers come, summed over all instances: for each day and screen how often it was shown and what became of it.
-- `place` is the screen's in its flow, and `operator` is empty where the aggregator does not tell it.

create table funnel (
    day date not null,
    flow text not null,
    version text not null,
    screen text not null,
    place integer not null,
    aggregator text not null,
    operator text not null,
    language text not null,
    shown bigint not null default 0,
    answered bigint not null default 0,
    wrong bigint not null default 0,
    timed_out bigint not null default 0,
    resumed bigint not null default 0,
    completed bigint not null default 0,
    primary key (day, version, screen, aggregator, operator, language)
);
