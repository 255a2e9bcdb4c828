-- Mails: to the archive team with the manifests of nights, and to the operators with alerts.
-- What goes out is kept here first, byte for byte, so that after a crash the very same mail is
-- sent again, and never another one for the same night.

create table mail (
    id integer primary key,
    is_alert integer not null default 0 check (is_alert in (0, 1)),
    state text not null check (state in ('wanted', 'composed', 'sent', 'failed', 'withdrawn')),
    subject text,
    sender text,                    -- the envelope's, and the header's
    message_id text,
    composed_us integer,
    sent_us integer,                -- the server took it for the last of the recipients
    attempts integer not null default 0, -- counted before each begins
    in_doubt integer not null default 0 check (in_doubt in (0, 1)), -- an attempt may have succeeded
    error text,
    failing_since_us integer,
    due_us integer not null default 0,   -- not before this time
    changed_us integer not null,
    changed_by text not null,
    why text,
    content blob,                   -- the bytes that go out; last, for what is short is read often
    check ((content is null) = (composed_us is null) and (content is null) = (message_id is null)),
    check (content is not null or state in ('wanted', 'failed', 'withdrawn'))
) strict;
create index mail_open on mail (due_us) where state in ('wanted', 'composed');

create table mail_recipient (
    mail integer not null references mail (id),
    address text not null,
    accepted_us integer,
    refused_us integer,             -- for good
    answer text,                    -- the server's last word about this address
    primary key (mail, address),
    check (accepted_us is null or refused_us is null)
) strict, without rowid;

-- Which night's which batch a mail speaks of. Withdrawn: the mail never left, and another may.
create table mail_night (
    id integer primary key,
    mail integer not null references mail (id),
    night integer not null references night (id),
    batch integer not null,
    manifest text not null,         -- its path in the night's folder
    manifest_sha256 text not null,
    withdrawn_us integer
) strict;
create unique index mail_one_per_batch on mail_night (night, batch) where withdrawn_us is null;
create index mail_night_of_mail on mail_night (mail);

-- The archive's word that it has a night's files. Space is given back on it.
create table ack (
    id integer primary key,
    night integer not null references night (id),
    batch integer not null,
    mail integer references mail (id), -- null: on an operator's word alone
    manifest_sha256 text,
    note text,
    acked_us integer not null,
    acked_by text not null,
    revoked_us integer,
    changed_us integer not null,
    changed_by text not null,
    why text
) strict;
create unique index ack_one_per_batch on ack (night, batch) where revoked_us is null;

-- What the operators are told about: open until it is over.
create table alert (
    id integer primary key,
    name text not null,             -- what it is about, e.g. 'failed:17'
    severity text not null check (severity in ('warning', 'critical')),
    night integer references night (id),
    text text not null,
    began_us integer not null,
    told_us integer,                -- in a mail that was composed then
    over_us integer,
    over_told_us integer
) strict;
create unique index alert_one_open on alert (name) where over_us is null;
create index alert_untold on alert (id) where over_told_us is null;

-- The last look at each disk that holds nights, or the ledger.
create table disk (
    path text primary key,
    present integer not null check (present in (0, 1)), -- it is there, and the one that it was
    free_bytes integer,
    total_bytes integer,
    looked_us integer not null
) strict;

-- Whether everything is verified is asked every second.
create index deliverable_unverified on deliverable (night, batch) where verified_us is null;

create trigger mail_bytes_stay before update of content, message_id on mail
when old.content is not null
    and (new.content is not old.content or new.message_id is not old.message_id) begin
    select raise(abort, 'the bytes of a mail never change');
end;
create trigger mail_never_forgotten before delete on mail begin
    select raise(abort, 'a mail is never forgotten');
end;
create trigger ack_never_forgotten before delete on ack begin
    select raise(abort, 'an acknowledgement is never forgotten');
end;

create trigger mail_night_new after insert on mail_night begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select mail.changed_us, 'mail', mail.id, new.night, null, mail.state, mail.changed_by, mail.why, text
    from version, mail where mail.id = new.mail;
end;
create trigger mail_moved after update on mail when old.state is not new.state begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'mail', new.id, mail_night.night, old.state, new.state, new.changed_by, new.why, text
    from version, mail_night where mail_night.mail = new.id;
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'mail', new.id, null, old.state, new.state, new.changed_by, new.why, text
    from version where new.is_alert = 1;
end;
create trigger ack_new after insert on ack begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'ack', new.id, new.night, null, 'acknowledged', new.changed_by, new.why, text from version;
end;
create trigger ack_moved after update on ack when old.revoked_us is not new.revoked_us begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version)
    select new.changed_us, 'ack', new.id, new.night, 'acknowledged', 'revoked', new.changed_by, new.why, text from version;
end;
