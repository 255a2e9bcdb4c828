-- What the earlier pipeline left: its tables as they were read, and the nights it worked on.

-- A line of ARCHIVE_LOG.csv, PROCESSING_LOG.csv or MARKED_FOR_DELETION.csv: that table's word,
-- and no more. Its time stamps stay the texts that they are: some are local time.
create table legacy_row (
    id integer primary key,
    source text not null,           -- the table
    folder text not null,           -- its scexao5_path
    night integer references night (id),
    processed integer,              -- null in the table of what is to be deleted
    processed_at text,
    transferred integer,
    transferred_at text,
    safe integer,
    safe_at text,
    delete_after text,              -- reported, never obeyed
    read_us integer not null,
    unique (source, folder)
) strict;
create index legacy_row_of_night on legacy_row (night);

-- A night in whose folder the earlier pipeline was at work. While it is noticed or adopted,
-- vampd holds it, and neither processes nor deletes anything of it.
create table adoption (
    night integer primary key references night (id),
    state text not null check (state in ('noticed', 'adopted', 'released')),
    signs text not null,            -- what of the earlier pipeline's lies in the folder
    proved text not null,           -- JSON: sentences
    unproved text not null,         -- JSON: sentences
    changed_us integer not null,
    changed_by text not null,
    why text
) strict;

-- What the earlier pipeline made of such a night. Its frame IDs stand in `frame_id` as void:
-- they are used, and are never dealt again.
create table legacy_file (
    id integer primary key,
    night integer not null references night (id),
    path text not null,
    size_bytes integer not null,
    modified_ns integer not null,
    frame_id integer,
    sha256 text,                    -- of the bytes that bear the size and time above
    problem text,
    unique (night, path)
) strict;

create trigger adoption_new after insert on adoption begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'adoption', new.night, new.night, null, new.state, new.changed_by, new.why, text from version;
end;
create trigger adoption_moved after update on adoption when old.state is not new.state begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'adoption', new.night, new.night, old.state, new.state, new.changed_by, new.why, text from version;
end;
