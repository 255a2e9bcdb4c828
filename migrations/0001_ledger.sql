-- The ledger of vampd. Times are integer microseconds since the Unix epoch, UTC (_us).
-- The CHECK lists hold the words of vampd/states.py.
-- Every row whose state changes carries who changed it, when and why; triggers copy that
-- into `event`, from which the present can be replayed.

create table root (
    path text primary key,
    marker text not null,
    claimed_us integer not null
) strict;

create table night (
    id integer primary key,
    kind text not null check (kind in ('archive', 'engineering')),
    date text not null check (date glob '[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]'),
    folder text not null,
    status text not null check (status in ('collecting', 'ready', 'running', 'waiting', 'failed',
        'held', 'safe', 'reclaimed', 'empty', 'abandoned')),
    cause text,
    hold text,                      -- why it is held, until `release` or `retry`
    seen_us integer not null,       -- first seen
    last_change_us integer not null,-- a look last found one of the cameras' files changed
    close_asked_by text,            -- who said that it is over, before it was closed
    closed_us integer,
    closed_by text,
    safe_us integer,
    changed_us integer not null,
    changed_by text not null,
    why text,
    unique (kind, date)
) strict;

create table raw_file (
    id integer primary key,
    night integer not null references night (id),
    path text not null,
    role text not null check (role in ('cube', 'timing', 'temporary', 'other')),
    camera integer check (camera in (1, 2)),
    stem text,
    inode integer not null,
    size_bytes integer not null,
    modified_ns integer not null,
    state text not null check (state in ('arriving', 'whole', 'quarantined', 'late', 'ignored', 'gone')),
    reason text,
    sha256 text,                    -- of the bytes that bear the identity above
    seen_us integer not null,
    changed_us integer not null,
    changed_by text not null,
    why text,
    unique (night, path)
) strict;
-- Operators look at counts, of 20 000 files a night: 1 ms instead of 6.
create index raw_file_counted on raw_file (night, role, state);

-- What a whole cube's header and timing file say. Made with the cube, gone with its identity.
create table cube (
    raw_file integer primary key references raw_file (id),
    timing integer not null references raw_file (id),
    frames integer not null check (frames > 0),
    width integer not null,
    height integer not null,
    cards text not null,            -- JSON: the deciding cards that are present
    has_acquisition integer not null,
    rejected text not null,         -- JSON: frame -> why its row cannot be used
    reports text not null,          -- JSON list
    acquired blob not null          -- the camera's own times: see vampd/ledger/blobs.py
) strict;

create table output (
    id integer primary key,
    night integer not null references night (id),
    batch integer not null default 1,
    ordinal integer not null,       -- place in the order of the frame IDs
    cube integer not null,          -- the cube before deinterleaving; all its files share its times
    camera integer not null check (camera in (1, 2)),
    synchronised integer not null check (synchronised in (0, 1)),
    flc_state text not null check (flc_state in ('', 'A', 'B', 'D')),
    name text not null,
    frames integer not null,
    width integer not null,
    height integer not null,
    first_us integer not null,
    last_us integer not null,
    header_file integer not null references raw_file (id),
    content_key text not null,      -- digest of what it is made of: the same key, the same pixels
    frame_id integer,
    state text not null check (state in ('planned', 'built', 'verified')),
    size_bytes integer,
    sha256 text,
    timing_size_bytes integer,
    timing_sha256 text,
    changed_us integer not null,
    changed_by text not null,
    why text,
    unique (night, batch, name),
    unique (night, batch, ordinal)
) strict;

-- Where each frame of a raw cube went: frames first, first + step, ... (count of them) are
-- the next frames of the output from `position` on, or rejected with a reason.
create table segment (
    id integer primary key,
    night integer not null references night (id),
    output integer references output (id),
    position integer,
    raw_file integer not null references raw_file (id),
    first integer not null,
    step integer not null check (step > 0),
    count integer not null check (count > 0),
    partner_file integer references raw_file (id),
    partner_first integer,
    partner_step integer,
    reason text,
    check ((output is null) = (reason is not null))
) strict;
create index segment_of_output on segment (output, position);
create index segment_of_raw_file on segment (raw_file);

create table report (
    id integer primary key,
    night integer not null references night (id),
    stage text not null,
    raw_file integer references raw_file (id),
    text text not null
) strict;
create index report_of_night on report (night);

create table task (
    id integer primary key,
    night integer not null references night (id),
    batch integer not null default 1,
    stage text not null check (stage in ('sync', 'frame_ids', 'build', 'manifest', 'transfer', 'verify')),
    unit text not null default '',  -- '' is the whole night; in build, 'cube.camera'
    state text not null check (state in ('pending', 'running', 'done', 'failed')),
    attempts integer not null default 0, -- the fence: a lost worker holds an older number
    crashes integer not null default 0,
    error_class text check (error_class in ('transient', 'resource', 'input', 'deterministic',
        'ambiguous', 'integrity')),
    error text,
    failing_since_us integer,
    due_us integer not null default 0,   -- not before this time
    started_us integer,
    finished_us integer,
    changed_us integer not null,
    changed_by text not null,
    why text,
    unique (night, batch, stage, unit)
) strict;
create unique index task_one_running_per_unit on task (night, batch, stage, unit) where state = 'running';
create index task_open on task (state) where state in ('pending', 'running');

-- A number is dealt once, and stays with what it was dealt for: the content of an output.
create table frame_id (
    number integer primary key check (number between 1 and 99999999),
    night integer not null references night (id),
    batch integer not null default 1,
    content_key text,
    state text not null check (state in ('reserved', 'bound', 'void')),
    reserved_us integer not null,
    changed_us integer not null,
    changed_by text not null,
    why text
) strict;
create unique index frame_id_one_per_content on frame_id (night, batch, content_key) where state = 'bound';

-- Everything that goes to the other machine, and what is known of it there.
create table deliverable (
    id integer primary key,
    night integer not null references night (id),
    batch integer not null default 1,
    path text not null,
    size_bytes integer not null,
    sha256 text not null,
    sent_us integer,
    verified_us integer,
    verdict text check (verdict in ('verified', 'missing', 'different', 'elsewhere')),
    detail text,
    resends integer not null default 0,
    unique (night, path)
) strict;

create table daemon (
    id integer primary key,
    started_us integer not null,
    pid integer not null,
    version text not null,
    heard_us integer not null,
    stopped_us integer
) strict;

create table event (
    id integer primary key,
    at_us integer not null,
    subject text not null,          -- night, raw_file, output, task, frame_id
    subject_id integer not null,
    night integer,
    was text,
    became text not null,
    actor text not null,
    why text,
    version text not null
) strict;
create index event_of_night on event (night, id);

create table version (id integer primary key check (id = 1), text text not null) strict;
insert into version (id, text) values (1, '');

create trigger night_new after insert on night begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'night', new.id, new.id, null, new.status, new.changed_by, new.why, text from version;
end;
create trigger night_moved after update on night
when old.status is not new.status or old.cause is not new.cause or old.hold is not new.hold begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'night', new.id, new.id, old.status, new.status, new.changed_by, new.why, text from version;
end;
create trigger raw_file_new after insert on raw_file begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'raw_file', new.id, new.night, null, new.state, new.changed_by, new.why, text from version;
end;
create trigger raw_file_moved after update on raw_file when old.state is not new.state begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'raw_file', new.id, new.night, old.state, new.state, new.changed_by, new.why, text from version;
end;
create trigger output_new after insert on output begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'output', new.id, new.night, null, new.state, new.changed_by, new.why, text from version;
end;
create trigger output_moved after update on output when old.state is not new.state begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'output', new.id, new.night, old.state, new.state, new.changed_by, new.why, text from version;
end;
create trigger output_gone after delete on output begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select old.changed_us, 'output', old.id, old.night, old.state, 'forgotten', old.changed_by, old.why, text from version;
end;
create trigger task_new after insert on task begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'task', new.id, new.night, null, new.state, new.changed_by, new.why, text from version;
end;
create trigger task_moved after update on task when old.state is not new.state begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'task', new.id, new.night, old.state, new.state, new.changed_by, new.why, text from version;
end;
create trigger task_gone after delete on task begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select old.changed_us, 'task', old.id, old.night, old.state, 'forgotten', old.changed_by, old.why, text from version;
end;
create trigger frame_id_new after insert on frame_id begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'frame_id', new.number, new.night, null, new.state, new.changed_by, new.why, text from version;
end;
create trigger frame_id_moved after update on frame_id when old.state is not new.state begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'frame_id', new.number, new.night, old.state, new.state, new.changed_by, new.why, text from version;
end;
create trigger frame_id_never_forgotten before delete on frame_id begin
    select raise(abort, 'a frame ID is never forgotten');
end;
