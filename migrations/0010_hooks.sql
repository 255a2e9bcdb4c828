-- Commands of the site's own that run once a night is safe. *command* is the words as a shell would
-- have them, before the night's own were put in.

-- When vampd first saw a command: it does not run for nights that were safe before.
create table hook (
    command text primary key,
    since_us integer not null
) strict;

create table hook_run (
    id integer primary key,
    night integer not null references night (id),
    batch integer not null,
    command text not null,
    state text not null check (state in ('pending', 'running', 'done', 'failed')),
    attempts integer not null default 0,
    code integer,                   -- its exit status, where it ended by itself
    error text,                     -- why it is failed
    output text,                    -- the last that it said
    started_us integer,
    finished_us integer,
    changed_us integer not null,
    changed_by text not null,
    why text,
    unique (night, batch, command)
) strict;

create trigger hook_run_new after insert on hook_run begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'hook_run', new.id, new.night, null, new.state, new.changed_by, new.why, text from version;
end;
create trigger hook_run_moved after update on hook_run when old.state is not new.state begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'hook_run', new.id, new.night, old.state, new.state, new.changed_by, new.why, text from version;
end;
