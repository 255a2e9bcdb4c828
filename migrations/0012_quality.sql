-- What the cameras themselves lost, and when a cube began, for whoever sums up a night.

alter table cube add column lost_frames integer; -- that the stream counted, and nobody logged
alter table cube add column first_us integer;    -- its first frame's acquisition

-- What the frames of a batch's plan came to.
create table quality (
    night integer not null references night (id),
    batch integer not null,
    expected integer not null,       -- frames taken while the other camera could see the same pulses
    synchronised integer not null,
    with_flc integer not null,       -- sorted by the FLC's state, or dubious
    a integer not null,
    b integer not null,
    dubious integer not null,
    drift_us integer not null,       -- of the cameras' offset, within one readout mode
    primary key (night, batch)
) strict, without rowid;
