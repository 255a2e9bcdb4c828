-- What is asked of one night's frame IDs and segments must not read those of all nights: there are
-- millions of them after a year.
create index frame_id_of_night on frame_id (night, batch);
create index segment_of_night on segment (night, batch);
