-- A night of which files could not be read rests, so that others have their turn; and when a file is
-- to be read again, which may be soon, is another thing than when it was read.
alter table scrubbed add column since_us integer;   -- the oldest turn of its files; null: oldest_us
alter table scrubbed add column again_us integer;   -- nothing of it is read before; null: at any time

drop trigger local_copy_wrong_new;
drop trigger local_copy_moved;
create trigger local_copy_wrong_new after insert on local_copy when new.verdict != 'right' begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version, about)
    select new.changed_us, 'local_copy', new.id, new.night, null, new.verdict, new.changed_by, new.why, text, new.path from version;
end;
create trigger local_copy_moved after update on local_copy
when old.verdict is not new.verdict and (new.verdict != 'right' or old.verdict != 'mended') begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version, about)
    select new.changed_us, 'local_copy', new.id, new.night, old.verdict, new.verdict, new.changed_by, new.why, text, new.path from version;
end;
