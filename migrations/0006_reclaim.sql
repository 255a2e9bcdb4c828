-- Giving space back: how much time a night was seen to be safe, what is pinned, what goes.

-- Time that was seen to pass while a daemon lived, by a clock that nobody can set. It is never
-- more than what truly passed, whatever becomes of the host's date.
create table witness (
    id integer primary key check (id = 1),
    seen_ns integer not null,       -- the monotonic clock at the last look
    passed_us integer not null,
    run_passed_us integer           -- when it was last chosen what goes
) strict;

-- When a night was first seen to be safe, by both clocks. Gone when it has to become safe anew.
create table safe_since (
    night integer primary key references night (id),
    since_us integer not null,
    passed_us integer not null
) strict;
create trigger safe_since_anew after update on night
when old.safe_us is not new.safe_us
    or new.status not in ('safe', 'held', 'reclaimed') begin
    delete from safe_since where night = new.id;
end;

-- Nights of which an operator wants everything kept.
create table pin (
    night integer primary key references night (id),
    changed_us integer not null,
    changed_by text not null,
    why text not null
) strict;

-- Quarantined files that an operator let go: no other quarantined file ever does.
create table let_go (
    raw_file integer primary key references raw_file (id),
    night integer not null references night (id),
    changed_us integer not null,
    changed_by text not null,
    why text not null
) strict;

-- One row a night, a kind of space, and a way: into the trash, or (final) out of it for ever.
create table reclaim (
    id integer primary key,
    run integer not null,
    night integer not null references night (id),
    space text not null check (space in ('outputs', 'raw')),
    final integer not null check (final in (0, 1)),
    state text not null check (state in ('verifying', 'moving', 'done', 'refused')),
    life integer,                   -- the daemon that verified; another one verifies anew
    begun_us integer not null,
    begun_passed_us integer not null,
    verified_us integer,            -- when reading every far copy began: all were right
    verified_passed_us integer,
    due_passed_us integer not null default 0, -- not before this, by the witness's clock
    files integer not null default 0,
    size_bytes integer not null default 0,
    changed_us integer not null,
    changed_by text not null,
    why text
) strict;
create unique index reclaim_one_open_per_night on reclaim (night) where state in ('verifying', 'moving');

-- Every file on its way out, or back. The row is there before the file is touched.
create table trash (
    id integer primary key,
    reclaim integer not null references reclaim (id),
    night integer not null references night (id),
    space text not null check (space in ('outputs', 'raw')),
    path text not null,             -- in the night's folder
    place text not null,            -- in the trash of the night's root
    raw_file integer references raw_file (id),
    inode integer not null,
    size_bytes integer not null,
    modified_ns integer not null,
    was text,                       -- the raw file's state before, and its reason
    was_reason text,
    made_anew integer not null default 0, -- what bears the name now is another file
    state text not null check (state in ('listed', 'leaving', 'trashed', 'returning', 'returned',
        'unlinking', 'unlinked', 'lost')),
    moved_us integer,               -- when it came to lie in the trash, by both clocks
    moved_passed_us integer,
    due_passed_us integer not null default 0, -- a look that could not be taken is tried again
    changed_us integer not null,
    changed_by text not null,
    why text
) strict;
create unique index trash_once_per_path on trash (night, path)
    where state not in ('returned', 'unlinked');
create index trash_of_reclaim on trash (reclaim, state);
create index trash_of_raw_file on trash (raw_file);
create index trash_unsettled on trash (state) where state in ('leaving', 'returning', 'unlinking');

create trigger pin_new after insert on pin begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'pin', new.night, new.night, null, 'kept', new.changed_by, new.why, text from version;
end;
create trigger pin_gone after delete on pin begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select old.changed_us, 'pin', old.night, old.night, 'kept', 'unkept', old.changed_by, old.why, text from version;
end;
create trigger let_go_new after insert on let_go begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'let_go', new.raw_file, new.night, null, 'let go', new.changed_by, new.why, text from version;
end;
create trigger let_go_gone after delete on let_go begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select old.changed_us, 'let_go', old.raw_file, old.night, 'let go', 'kept', old.changed_by, old.why, text from version;
end;
create trigger reclaim_new after insert on reclaim begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'reclaim', new.id, new.night, null, new.state, new.changed_by, new.why, text from version;
end;
create trigger reclaim_moved after update on reclaim when old.state is not new.state begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'reclaim', new.id, new.night, old.state, new.state, new.changed_by, new.why, text from version;
end;
create trigger trash_made_anew after delete on deliverable begin
    update trash set made_anew = 1 where night = old.night and path = old.path;
end;
-- Intentions pass within seconds; what came of them is an event.
create trigger trash_moved after update on trash
when old.state is not new.state and new.state in ('trashed', 'returned', 'unlinked', 'lost') begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'trash', new.id, new.night, old.state, new.state, new.changed_by, new.why, text from version;
end;
create trigger trash_never_forgotten before delete on trash when old.state != 'listed' begin
    select raise(abort, 'what left a night is never forgotten');
end;
