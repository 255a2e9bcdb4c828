-- What proves by how much the logger's clock was ahead of UTC, and what was taken off its times.

alter table cube add column written_us integer;                -- DATE, by its header
alter table cube add column lag_us integer;                    -- of logging behind acquisition
alter table cube add column is_old integer not null default 0; -- without a column for acquisition
alter table cube add column ahead_us integer not null default 0; -- taken off *acquired*

-- Nobody has read these of the cubes of open nights: they are read once more.
update raw_file set state = 'arriving', reason = 'settled, to be read',
    why = 'read once more, for the clock of its times'
where state = 'whole' and role in ('cube', 'timing')
    and night in (select id from night where closed_us is null and night.batch = raw_file.batch);

-- More of what the logger does to cubes.
create table logger_fault_new (
    id integer primary key,
    night integer not null references night (id),
    batch integer not null default 1,
    fault text not null check (fault in ('lost', 'clock')),
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
