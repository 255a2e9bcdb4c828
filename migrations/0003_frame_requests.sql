-- Frame IDs that somebody else deals: what was asked for, and what became of it. A row is
-- committed before the issuer is asked, so that no answer can be lost without a trace.
create table frame_request (
    id integer primary key,
    night integer not null references night (id),
    batch integer not null default 1,
    count integer not null check (count > 0),
    issuer text not null,           -- command, or gen2 with its route
    state text not null check (state in ('asked', 'answered', 'unclear', 'adopted', 'void')),
    reply text,                     -- what came, word for word
    error text,                     -- why it is unclear what was dealt
    asked_us integer not null,
    changed_us integer not null,
    changed_by text not null,
    why text
) strict;
-- Nothing more is asked for a night while nobody knows what became of the last request.
create unique index frame_request_one_open on frame_request (night) where state in ('asked', 'unclear');

-- The highest number that a night's folder shows in names of files, name changes and manifests;
-- *stamp* are the folders and lists that were looked at: unchanged, they need not be read again.
create table number_seen (
    folder text primary key,
    stamp text not null,            -- JSON
    highest integer not null,       -- 0: it shows none
    place text not null,            -- the file that shows it
    looked_us integer not null
) strict;

-- When all folders were looked at for this night's numbers.
alter table night add column ids_looked_us integer;
-- An operator's word that younger nights need not wait for the numbers of this one, and why.
alter table night add column ids_skip_why text;

create trigger night_ids_skipped after update of ids_skip_why on night
when old.ids_skip_why is not new.ids_skip_why begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'night', new.id, new.id, new.status, new.status, new.changed_by, new.why, text from version;
end;
create trigger frame_request_new after insert on frame_request begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'frame_request', new.id, new.night, null, new.state, new.changed_by, new.why, text from version;
end;
create trigger frame_request_moved after update on frame_request when old.state is not new.state begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'frame_request', new.id, new.night, old.state, new.state, new.changed_by, new.why, text from version;
end;
create trigger frame_request_never_forgotten before delete on frame_request begin
    select raise(abort, 'a request for frame IDs is never forgotten');
end;
