-- Headers, by the form of their cards, with which other programs were seen to read a night's cubes.
create table tried_header (
    night integer not null references night (id),
    digest text not null,
    primary key (night, digest)
) strict, without rowid;
