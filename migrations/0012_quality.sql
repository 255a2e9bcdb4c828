-- What the cameras themselves lost, and when a cube began, for whoever sums up a night.

alter table cube add column lost_frames integer; -- that the stream counted, and nobody logged
alter table cube add column first_us integer;    -- its first frame's acquisition
