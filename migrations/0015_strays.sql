-- Raw files of closed nights that do not lie in their folder as they were recorded: with another
-- inode or time, other bytes, or not at all. The bytes decide who they are. A row goes as soon as
-- the recorded bytes, or the recorded identity, are found in the file's place.

create table stray (
    raw_file integer primary key references raw_file (id),
    night integer not null references night (id),
    state text not null check (state in ('unread', 'other', 'missing', 'unreadable')),
    inode integer,                  -- who lies there now; null: nobody
    size_bytes integer,
    modified_ns integer,
    detail text,                    -- in what it differs, or why it cannot be read
    changed_us integer not null,
    changed_by text not null,
    why text
) strict;
create index stray_of_night on stray (night, state);

create trigger stray_new after insert on stray begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version, about)
    select new.changed_us, 'stray', new.raw_file, new.night, null, new.state, new.changed_by, new.why, text,
        (select path from raw_file where id = new.raw_file) from version;
end;
create trigger stray_moved after update on stray when old.state is not new.state begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version, about)
    select new.changed_us, 'stray', new.raw_file, new.night, old.state, new.state, new.changed_by, new.why, text,
        (select path from raw_file where id = new.raw_file) from version;
end;
create trigger stray_gone after delete on stray begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version, about)
    select old.changed_us, 'stray', old.raw_file, old.night, old.state, 'settled', old.changed_by, old.why, text,
        (select path from raw_file where id = old.raw_file) from version;
end;

-- Who holds a night, in a word, where vampd lets it go on by itself once the cause is no more.
alter table night add column hold_code text check (hold_code in ('raw'));
update night set hold_code = 'raw' where hold like 'raw file changed after the night was closed: %'
    or hold like 'raw file gone after the night was closed: %';
-- Whoever sets another hold, or lifts it, need not know of the word.
create trigger night_hold_anew after update of hold on night
when old.hold is not new.hold and old.hold_code is new.hold_code and new.hold_code is not null begin
    update night set hold_code = null where id = new.id;
end;
