-- Cubes that come after a night was closed become its next batch, with a plan, frame IDs and a
-- manifest of its own; what was made of the earlier batches stays as it is.

alter table night add column batch integer not null default 1 check (batch >= 1); -- worked on now
alter table raw_file add column batch integer not null default 1; -- for which it counts
alter table segment add column batch integer not null default 1;
alter table report add column batch integer not null default 1;
