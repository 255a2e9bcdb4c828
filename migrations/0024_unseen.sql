-- What lies in a night's folder, or beside the nights in a root, and is not taken as cubes are.

create table unseen (
    id integer primary key,
    night integer references night (id),    -- null: it lies beside the nights
    place text not null,                    -- relative to the night's folder; beside nights, whole
    sort text not null check (sort in ('link', 'name', 'packed', 'place', 'kind', 'unreadable',
        'folder', 'twice', 'date', 'unusable', 'alone', 'foreign')),
    entries integer not null,
    size_bytes integer not null,
    is_data integer not null check (is_data in (0, 1)),   -- it could be the cameras' data
    text text not null,
    found_us integer not null,
    accepted integer not null default 0 check (accepted in (0, 1)),  -- on an operator's word
    changed_us integer not null,
    changed_by text not null,
    why text
) strict;
create unique index unseen_once on unseen (coalesce(night, 0), sort, place);

create trigger unseen_new after insert on unseen when new.night is not null begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version, about)
    select new.changed_us, 'unseen', new.id, new.night, null, new.sort, new.changed_by, new.text, text,
        new.place from version;
end;
create trigger unseen_accepted after update on unseen
when new.night is not null and old.accepted is not new.accepted begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version, about)
    select new.changed_us, 'unseen', new.id, new.night, old.sort,
        iif(new.accepted, 'left as it is', new.sort), new.changed_by, new.why, text, new.place from version;
end;
create trigger unseen_gone after delete on unseen when old.night is not null begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version, about)
    select old.changed_us, 'unseen', old.id, old.night, old.sort, 'gone', old.changed_by, old.text, text,
        old.place from version;
end;

-- One more word for who holds a night.
drop trigger night_hold_anew;
alter table night rename column hold_code to held_for;
alter table night add column hold_code text check (hold_code in ('raw', 'unseen'));
update night set hold_code = held_for where held_for is not null;
alter table night drop column held_for;
create trigger night_hold_anew after update of hold on night
when old.hold is not new.hold and old.hold_code is new.hold_code and new.hold_code is not null begin
    update night set hold_code = null where id = new.id;
end;
