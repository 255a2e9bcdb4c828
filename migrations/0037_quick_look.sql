-- What a glance at an output's frames said when it was built. Nothing is decided by it; an output
-- whose quick look could not be made has none.
create table quick_look (
    output integer primary key references output (id),
    night integer not null references night (id),
    frames integer not null,
    median_adu real not null,
    noise_adu real not null,
    peak_adu real not null,
    saturated_pixels integer not null,
    flux_adu real not null,
    fwhm_pixels real,               -- null: there is no source
    made_us integer not null
) strict;
create index quick_look_of_night on quick_look (night, made_us);
create trigger quick_look_gone after delete on output begin
    delete from quick_look where output = old.id;
end;
