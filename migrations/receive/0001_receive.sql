-- The receiver's ledger. Times are integer microseconds since the Unix epoch, UTC (_us).
-- The CHECK lists hold the words of vampd/receive/states.py.

create table version (id integer primary key check (id = 1), text text not null) strict;
insert into version (id, text) values (1, '');

-- Which disk it is to which nights are moved on: by the marker in that folder.
create table place (
    folder text primary key,
    marker text not null,
    claimed_us integer not null
) strict;

create table night (
    id integer primary key,
    kind text not null check (kind in ('archive', 'engineering')),
    date text not null check (date glob '[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]'),
    state text not null check (state in ('arriving', 'waiting', 'held', 'received')),
    cause text,
    seen_us integer not null,       -- first seen
    moved_us integer not null,      -- the last time that anything of it came or was moved on
    failures integer not null default 0, -- of moving it on, in succession
    due_us integer not null default 0,   -- not before this time
    changed_us integer not null,
    changed_by text not null,
    why text,
    unique (kind, date)
) strict;

-- Every digest that any list ever told of a path; the newest one is awaited.
create table listing (
    id integer primary key,
    night integer not null references night (id),
    path text not null,
    sha256 text not null,
    listed_us integer not null,
    unique (night, path, sha256)
) strict;

create table file (
    id integer primary key,
    night integer not null references night (id),
    path text not null,
    state text not null check (state in ('awaited', 'arriving', 'placed', 'wrong', 'in the way', 'odd',
        'unlisted')),
    size_bytes integer,
    sha256 text,                    -- of what lies where it belongs
    found text,                     -- the digest of what is wrong, or in the way
    identity text,                  -- of what was judged in the inbox: inode, size, time
    judged_us integer,              -- since when that is known to be so
    placed_us integer,
    changed_us integer not null,
    changed_by text not null,
    why text,
    unique (night, path)
) strict;
create index file_counted on file (night, state);

create table step_run (
    id integer primary key,
    night integer not null references night (id),
    step text not null,
    unit text not null default '',  -- '' is the whole night; else a target, a segment, a file
    inputs text not null,           -- digest of the command and of the files that it was run for
    files integer not null,
    state text not null check (state in ('pending', 'running', 'done', 'failed')),
    attempts integer not null default 0,
    job text,                       -- Slurm's number
    code integer,                   -- its exit status, where it ended by itself
    error text,
    output text,                    -- the last that it said
    numbers text,                   -- JSON: what its last line said of its result
    due_us integer not null default 0,
    started_us integer,
    finished_us integer,
    changed_us integer not null,
    changed_by text not null,
    why text,
    unique (night, step, unit)
) strict;

create table daemon (
    id integer primary key,
    started_us integer not null,
    pid integer not null,
    version text not null,
    heard_us integer not null,
    stopped_us integer
) strict;

create table trouble (
    work text primary key,
    words text not null,
    since_us integer not null,
    last_us integer not null
) strict;

create table alert (
    id integer primary key,
    name text not null,
    severity text not null check (severity in ('warning', 'critical')),
    night integer references night (id),
    text text not null,
    began_us integer not null,
    told_us integer,
    over_us integer,
    over_told_us integer
) strict;
create unique index alert_one_open on alert (name) where over_us is null;

-- A mail is kept before the first attempt, so that the same bytes go out again.
create table letter (
    id integer primary key,
    subject text not null,
    message_id text not null,
    recipients text not null,       -- JSON: to whom it is still to go
    composed_us integer not null,
    sent_us integer,
    attempts integer not null default 0,
    error text,
    due_us integer not null default 0,
    given_up integer not null default 0 check (given_up in (0, 1)),
    content blob not null
) strict;

create table event (
    id integer primary key,
    at_us integer not null,
    subject text not null,          -- night, file, step
    night integer not null,
    about text not null,
    was text,
    became text not null,
    actor text not null,
    why text,
    version text not null
) strict;
create index event_of_night on event (night, id);

create trigger night_new after insert on night begin
    insert into event (at_us, subject, night, about, was, became, actor, why, version)
    select new.changed_us, 'night', new.id, '', null, new.state, new.changed_by, new.why, text from version;
end;
create trigger night_moved after update on night
when old.state is not new.state or old.cause is not new.cause begin
    insert into event (at_us, subject, night, about, was, became, actor, why, version)
    select new.changed_us, 'night', new.id, '', old.state, new.state, new.changed_by, new.cause, text from version;
end;
create trigger file_new after insert on file begin
    insert into event (at_us, subject, night, about, was, became, actor, why, version)
    select new.changed_us, 'file', new.night, new.path, null, new.state, new.changed_by, new.why, text from version;
end;
create trigger file_moved after update on file
when old.state is not new.state or old.sha256 is not new.sha256 begin
    insert into event (at_us, subject, night, about, was, became, actor, why, version)
    select new.changed_us, 'file', new.night, new.path, old.state, new.state, new.changed_by, new.why, text from version;
end;
create trigger file_gone after delete on file begin
    insert into event (at_us, subject, night, about, was, became, actor, why, version)
    select old.changed_us, 'file', old.night, old.path, old.state, 'forgotten', old.changed_by, old.why, text from version;
end;
create trigger step_new after insert on step_run begin
    insert into event (at_us, subject, night, about, was, became, actor, why, version)
    select new.changed_us, 'step', new.night, trim(new.step || ' ' || new.unit), null, new.state, new.changed_by,
        new.why, text from version;
end;
create trigger step_moved after update on step_run when old.state is not new.state begin
    insert into event (at_us, subject, night, about, was, became, actor, why, version)
    select new.changed_us, 'step', new.night, trim(new.step || ' ' || new.unit), old.state, new.state,
        new.changed_by, new.why, text from version;
end;
