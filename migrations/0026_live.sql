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

-- When the usable frames of a whole cube were taken: beside its row, which is long for its times.
-- A cube without usable frames has 0 and 0.
create table cube_span (
    raw_file integer primary key references raw_file (id),
    night integer not null references night (id),
    camera integer not null check (camera in (1, 2)),
    begins_us integer not null,
    ends_us integer not null,
    exposure_us integer not null,
    is_timed integer not null check (is_timed in (0, 1)) -- by the camera, not by the logger alone
) strict;
create index cube_span_of_night on cube_span (night, ends_us);
create trigger cube_span_gone after delete on cube begin
    delete from cube_span where raw_file = old.raw_file;
end;
-- A cube's outputs, and a unit's, without a walk through the night's.
create index output_of_cube on output (night, cube, camera);
create index deliverable_open on deliverable (night) where verified_us is null;
