-- Cubes that are there under two names, and cubes of one camera whose times overlap.

create table logger_fault_new (
    id integer primary key,
    night integer not null references night (id),
    batch integer not null default 1,
    fault text not null check (fault in ('lost', 'clock', 'double', 'overlap')),
    camera integer not null check (camera in (1, 2)),
    cubes integer not null,
    frames integer not null,
    raw_file integer references raw_file (id),
    text text not null,
    found_us integer not null
) strict;
insert into logger_fault_new select * from logger_fault;
drop table logger_fault;
alter table logger_fault_new rename to logger_fault;
create index logger_fault_of_night on logger_fault (night, fault);
