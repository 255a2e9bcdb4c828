-- What the daemon cannot do, and goes on without: work that belongs to no file, task or night that
-- could bear it. A row goes as soon as the work was done.

create table trouble (
    work text primary key,
    words text not null,            -- what went wrong; the log has the traceback
    since_us integer not null,
    last_us integer not null
) strict;
