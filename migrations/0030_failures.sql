-- More is known of errors: what ssh, rsync and the other machine said, and this machine's disks.
alter table task rename column error_code to error_code_was;
alter table task add column error_code text check (error_code in ('far disk', 'not plain', 'no folder',
    'no rights', 'host key', 'no name', 'unreachable', 'login', 'far full', 'in the way', 'no program',
    'full here', 'rights here'));
update task set error_code = error_code_was where error_code_was is not null;
alter table task drop column error_code_was;

-- An operator's word on the clock of a cube that only its logger timed, where nothing proves it.
create table clock_word (
    raw_file integer primary key references raw_file (id),
    night integer not null references night (id),
    ahead_s integer not null,       -- of UTC
    changed_us integer not null,
    changed_by text not null,
    why text not null
) strict;

create trigger clock_word_new after insert on clock_word begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version, about)
    select new.changed_us, 'clock', new.raw_file, new.night, null, new.ahead_s || ' s ahead', new.changed_by,
        new.why, text, (select path from raw_file where id = new.raw_file) from version;
end;
create trigger clock_word_gone after delete on clock_word begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version, about)
    select old.changed_us, 'clock', old.raw_file, old.night, old.ahead_s || ' s ahead', 'forgotten',
        old.changed_by, old.why, text, (select path from raw_file where id = old.raw_file) from version;
end;
