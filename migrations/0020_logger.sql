-- What timing files say of the logger, also those of bad cubes and those without a cube.

alter table raw_file add column logged_rows integer;      -- of a timing file that could be read
alter table raw_file add column first_count integer;      -- the stream's own count, cnt0
alter table raw_file add column last_count integer;
alter table raw_file add column first_logged_us integer;  -- on the logger's clock
alter table raw_file add column last_logged_us integer;

-- What the logger did to a night, found anew whenever its files change.
create table logger_fault (
    id integer primary key,
    night integer not null references night (id),
    batch integer not null default 1,
    fault text not null check (fault in ('lost')),
    camera integer not null check (camera in (1, 2)),
    cubes integer not null,
    frames integer not null,        -- about so many
    raw_file integer references raw_file (id),
    text text not null,
    found_us integer not null
) strict;
create index logger_fault_of_night on logger_fault (night, fault);
