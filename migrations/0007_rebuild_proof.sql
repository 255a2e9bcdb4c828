-- The proof that the raw files of a night can be rebuilt bit for bit from its outputs and its
-- sidecar. It holds for that sidecar alone: when the listed one is another, or forgotten, so is
-- the proof.

create table rebuild_proof (
    id integer primary key,
    night integer not null references night (id),
    batch integer not null,
    sidecar_sha256 text not null,
    files integer not null default 0,   -- raw files that came back bit for bit
    frames integer not null default 0,  -- frames in them
    proved_us integer,                  -- when the last one came back
    problem text,                       -- what did not; nothing more is tried until somebody asks
    failures integer not null default 0,-- in succession, of attempts that told nothing
    due_us integer not null default 0,  -- no attempt before this time
    changed_us integer not null,
    changed_by text not null,
    why text,
    unique (night, batch),
    check (proved_us is null or problem is null)
) strict;

alter table raw_file add column rebuilt_by integer references rebuild_proof (id);
-- Without it each proof that is forgotten would have every raw file of all nights looked at.
create index raw_file_rebuilt on raw_file (rebuilt_by) where rebuilt_by is not null;

create trigger rebuild_proof_new after insert on rebuild_proof begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'rebuild_proof', new.id, new.night, null, 'begun', new.changed_by, new.why, text from version;
end;
create trigger rebuild_proof_moved after update on rebuild_proof
when old.proved_us is not new.proved_us or old.problem is not new.problem begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'rebuild_proof', new.id, new.night, 'begun',
        case when new.proved_us is not null then 'proved' when new.problem is not null then 'failed' else 'begun' end,
        new.changed_by, new.why, text from version;
end;
create trigger rebuild_proof_gone after delete on rebuild_proof begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select old.changed_us, 'rebuild_proof', old.id, old.night,
        case when old.proved_us is not null then 'proved' when old.problem is not null then 'failed' else 'begun' end,
        'forgotten', old.changed_by, old.why, text from version;
end;
-- Other bytes under a raw file's name were never rebuilt.
create trigger raw_file_other_bytes after update of sha256 on raw_file
when old.sha256 is not new.sha256 and new.rebuilt_by is not null begin
    update raw_file set rebuilt_by = null where id = new.id;
end;
create trigger sidecar_gone after delete on deliverable
when old.path glob '.vampd/raw_sidecar*.tar' begin
    update raw_file set rebuilt_by = null where rebuilt_by in (select id from rebuild_proof
        where night = old.night and sidecar_sha256 = old.sha256);
    delete from rebuild_proof where night = old.night and sidecar_sha256 = old.sha256;
end;
create trigger sidecar_other after update of sha256 on deliverable
when old.sha256 is not new.sha256 and old.path glob '.vampd/raw_sidecar*.tar' begin
    update raw_file set rebuilt_by = null where rebuilt_by in (select id from rebuild_proof
        where night = old.night and sidecar_sha256 = old.sha256);
    delete from rebuild_proof where night = old.night and sidecar_sha256 = old.sha256;
end;

-- Up to which event the papers in a night's folder tell its story: a lost ledger is made again
-- from them.
create table paper (
    night integer primary key references night (id),
    event integer not null,
    written_us integer not null
) strict;
