-- What vampd knows of the other machine, file by file and night by night.

-- The files that vampd itself published there, or found there with the right digest. The rows
-- outlive the night's plan: a file in the way that is not among them is never touched.
create table far_copy (
    id integer primary key,
    night integer not null references night (id),
    place text not null,            -- the night's folder over there
    path text not null,
    sha256 text not null,           -- of the bytes that were published last
    published_us integer not null,
    unique (night, place, path)
) strict;

-- Files of ours that were no longer what was sent: set aside over there, never deleted.
create table evidence (
    id integer primary key,
    night integer not null references night (id),
    place text not null,
    name text not null,             -- below .evidence/YYYYMMDD, beside the night's folder
    changed_us integer not null,
    changed_by text not null,
    why text,
    unique (night, place, name)
) strict;

-- Every time that a whole night was verified again, and what was found.
create table verification (
    id integer primary key,
    night integer not null references night (id),
    place text not null,
    files integer not null,
    wrong integer not null,         -- files that are missing, different, or elsewhere
    error text,                     -- why nothing was found out
    changed_us integer not null,
    changed_by text not null,
    why text
) strict;
create index verification_of_night on verification (night, id);

-- The time at which the last of a night's files that was looked at was looked at longest ago.
alter table night add column verified_us integer;
-- While its copies are read through again: those that were found right before this time are.
alter table night add column verify_since_us integer;
-- When that was tried in vain last, and who asked for it (null: its time had come).
alter table night add column verify_tried_us integer;
alter table night add column verify_asked_by text;

create trigger evidence_new after insert on evidence begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'evidence', new.id, new.night, null, 'set aside', new.changed_by,
        new.name || coalesce(': ' || new.why, ''), text from version;
end;
create trigger verification_new after insert on verification begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'verification', new.id, new.night, null,
        case when new.error is not null then 'unknown' when new.wrong then 'wrong' else 'right' end,
        new.changed_by, coalesce(new.error, new.why), text from version;
end;
