-- Raw files that an operator gave up after their night was planned: they are changed, gone or cannot
-- be read. Their frames are rejected for that; what was made of other files stays.

create table given_up (
    raw_file integer primary key references raw_file (id),
    night integer not null references night (id),
    changed_us integer not null,
    changed_by text not null,
    why text not null
) strict;

create trigger given_up_new after insert on given_up begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version, about)
    select new.changed_us, 'give_up', new.raw_file, new.night, null, 'given up', new.changed_by, new.why, text,
        (select path from raw_file where id = new.raw_file) from version;
end;
create trigger given_up_gone after delete on given_up begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version, about)
    select old.changed_us, 'give_up', old.raw_file, old.night, 'given up', 'forgotten', old.changed_by, old.why, text,
        (select path from raw_file where id = old.raw_file) from version;
end;
