-- Frame IDs that others' files and lists bear are told apart from those that vampd dealt: they are
-- never dealt, and do not say by themselves where the counter stands.
alter table frame_id add column is_foreign integer not null default 0 check (is_foreign in (0, 1));
update frame_id set is_foreign = 1 where state = 'void' and why like 'used by the earlier pipeline: %';

-- What shows numbers: a night's folder here, one at the far end, or the mark of a root. All are
-- looked at afresh.
delete from number_seen;
alter table number_seen add column source text not null default 'night' check (source in ('night', 'far', 'mark'));
alter table number_seen add column runs text not null default '[]'; -- JSON: [first, last, place] of each
alter table number_seen add column note text; -- what counts for nothing there, and why

-- Which far ends were asked what they bear, before a new ledger dealt its first number.
create table number_look (
    place text primary key,
    looked_us integer not null,
    nights integer not null default 0, -- that were delivered there
    error text                      -- why nothing was seen
) strict;

-- What an operator said of numbers.
create table number_word (
    id integer primary key,
    first integer not null check (first between 1 and 99999999),
    last integer not null check (last between first and 99999999),
    word text not null check (word in ('used', 'dismissed')), -- used: the next one is above; dismissed: no sign of that
    changed_us integer not null,
    changed_by text not null,
    why text
) strict;
create trigger number_word_new after insert on number_word begin
    insert into event (at_us, subject, subject_id, night, was, became, actor, why, version, about)
    select new.changed_us, 'number_word', new.id, null, null, new.word, new.changed_by, new.why, text,
        printf('VMPA%08d..VMPA%08d', new.first, new.last) from version;
end;
create trigger number_word_never_forgotten before delete on number_word begin
    select raise(abort, 'what was said of frame IDs is never forgotten');
end;
