-- Why the daemon begins nothing now: the cameras write, and disk or memory can hardly follow.
-- null: it begins what is due.
alter table daemon add column pauses text;
