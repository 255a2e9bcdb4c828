-- Files that lie here, read through again: outputs, papers and sidecars, and raw files. A verdict
-- belongs to the digest that was to be found, and counts for nothing where the file has another now.
create table local_copy (
    id integer primary key,
    night integer not null references night (id),
    path text not null,
    sha256 text not null,
    verdict text not null check (verdict in ('right', 'mended', 'damaged', 'missing')),
    read_us integer not null,
    changed_us integer not null,
    changed_by text not null,
    why text,
    unique (night, path)
) strict;
create index local_copy_wrong on local_copy (night) where verdict in ('damaged', 'missing');

-- When the file of a night that was read longest ago was read; none: not since the night closed.
create table scrubbed (
    night integer primary key references night (id),
    oldest_us integer not null
) strict;

-- So much was read that nothing more is before this.
create table scrub_pace (
    side text primary key check (side in ('here', 'far')),
    due_us integer not null
) strict;

create trigger local_copy_wrong_new after insert on local_copy when new.verdict != 'right' begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'local_copy', new.id, new.night, null, new.verdict, new.changed_by, new.why, text from version;
end;
create trigger local_copy_moved after update on local_copy
when old.verdict is not new.verdict and (new.verdict != 'right' or old.verdict != 'mended') begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'local_copy', new.id, new.night, old.verdict, new.verdict, new.changed_by, new.why, text from version;
end;
