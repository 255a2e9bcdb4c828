-- Builders of other hosts: who they are, for people, and which of them has or had a task.
create table dask (
    id integer primary key check (id = 1),
    scheduler text not null,
    away text,                   -- why it does not answer
    since_us integer not null
) strict;

create table builder (
    address text primary key,
    host text not null,
    pid integer,
    state text not null check (state in ('ready', 'refused', 'left')),
    why text not null,           -- it is refused; '': it is not
    since_us integer not null
) strict;

alter table task add column builder text;   -- another host; null: the daemon's own

-- A night waits for builders.
alter table night rename column cause_code to cause_was;
alter table night add column cause_code text check (cause_code in ('order', 'restored', 'being restored',
    'raw changed', 'raw gone', 'raw unreadable', 'not taken', 'folder away', 'another date', 'no cube',
    'earlier pipeline', 'adopted', 'shadow', 'not rebuildable', 'quality', 'copies wrong',
    'records lost', 'trouble',
    'date', 'quiet', 'look', 'settle', 'unread', 'root absent', 'root unknown', 'disk low',
    'raw unread', 'raw again', 'begun', 'older night', 'failure', 'sent again', 'empty', 'given up',
    'builders'));
update night set cause_code = cause_was where cause_was is not null;
alter table night drop column cause_was;
