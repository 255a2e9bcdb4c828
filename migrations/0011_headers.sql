-- Whose header was taken into headers.sqlite3: 0 not yet, 1 it was, 2 it could not be read.

alter table raw_file add column headed integer not null default 0 check (headed in (0, 1, 2));
alter table output add column headed integer not null default 0 check (headed in (0, 1, 2));
create index raw_file_to_head on raw_file (id)
    where headed = 0 and role = 'cube' and state in ('whole', 'quarantined');
create index output_to_head on output (id) where headed = 0 and state in ('built', 'verified');

-- Another file under the same name has another header.
create trigger raw_file_headed_anew after update of inode, size_bytes, modified_ns on raw_file
when old.headed != 0 and (old.inode, old.size_bytes, old.modified_ns)
    is not (new.inode, new.size_bytes, new.modified_ns) begin
    update raw_file set headed = 0 where id = new.id;
end;

-- Outputs that are no more, until their headers went as well.
create table header_gone (night integer not null references night (id), path text not null) strict;
create trigger output_header_gone after delete on output when old.headed = 1 begin
    insert into header_gone (night, path) values (old.night,
        'vgen2/' || coalesce('VMPA' || printf('%08d', old.frame_id), old.name) || '.fits.fz');
end;
