-- What keeps a look, a choice of work and a start from reading what is long at rest.

-- When the night's folders last had an entry made, renamed or removed, as the last whole look at a
-- night at rest saw them: without this a start looked at every file of every night.
alter table night add column folder_stamps text;

-- forget_cube deletes by either file of a cube: without this it read all cubes of all nights.
create index cube_timing on cube (timing);

-- The next task of a stage: those that are done are nearly all.
create index task_pending on task (night, stage, id) where state = 'pending';

-- Whole files without a digest are few; whole files are nearly all.
create index raw_file_undigested on raw_file (night, modified_ns, path)
where state = 'whole' and sha256 is null;
