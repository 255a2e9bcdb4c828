-- A night that goes on: how far it is known, and how far it is planned. All of it is told by the
-- files and the outputs again; nothing of a closed night depends on it but that its close confirms.

create table live (
    night integer primary key references night (id),
    newest_us integer,              -- the last frame that is known
    through_us integer,             -- the watermark: all that began before it is known
    held_by text not null,          -- what holds it back; '': nothing
    asked_us integer,               -- the watermark for which it was planned last
    stretch_us integer,             -- the end of the last stretch that was closed by then
    planned_us integer,             -- all that ended by then is planned
    confirmed_us integer,           -- its close planned all of it again
    kept integer,                   -- outputs that stayed as they were,
    anew integer,                   -- those that were built, and are others now,
    late integer,                   -- and those that came to stand before what was planned
    changed_us integer not null
) strict;

-- When the usable frames of a cube were taken; null: not asked yet, 0: it has none.
alter table cube add column begins_us integer;
alter table cube add column ends_us integer;
-- A cube's outputs, and a unit's, without a walk through the night's.
create index output_of_cube on output (night, cube, camera);
create index deliverable_open on deliverable (night) where verified_us is null;
