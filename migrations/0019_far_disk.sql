-- Whether a far folder lies on the disk on which it lay. Each time that it was marked, or that an
-- operator said that another disk is the one now, stays on record; the last row of a place counts.
create table far_disk (
    id integer primary key,
    place text not null,            -- the folder that bears the marker
    marker text not null,
    changed_us integer not null,
    changed_by text not null,
    why text
) strict;
create index far_disk_of_place on far_disk (place, id);
