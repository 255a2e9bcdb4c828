-- What is asked of the trash of one night must not read that of all nights: every raw file that
-- gave its space back stays here for ever.
create index trash_of_night on trash (night, path);
