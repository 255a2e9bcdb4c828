-- The journal of a night is appended to; the dump of its rows is written more seldom: up to which
-- event it goes, when it was written, and how many stages of the night had ended by then.
alter table paper add column dump_event integer not null default 0;
alter table paper add column dumped_us integer not null default 0;
alter table paper add column ended integer not null default 0;
update paper set dump_event = event, dumped_us = written_us;
