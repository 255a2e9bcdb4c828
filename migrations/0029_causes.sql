-- Why a night is held, waits or failed, as a code with arguments: nothing reads a sentence back.
-- The sentences stay beside the codes, as they were on the day.

drop trigger night_hold_anew;
alter table night rename column hold_code to hold_was;
alter table night add column hold_code text check (hold_code in ('order', 'restored', 'being restored',
    'raw changed', 'raw gone', 'raw unreadable', 'not taken', 'folder away', 'another date', 'no cube',
    'earlier pipeline', 'adopted', 'shadow', 'not rebuildable', 'quality', 'copies wrong',
    'records lost', 'trouble'));
alter table night add column hold_words text;       -- what the sentence names, as JSON
alter table night add column cause_code text check (cause_code in ('order', 'restored', 'being restored',
    'raw changed', 'raw gone', 'raw unreadable', 'not taken', 'folder away', 'another date', 'no cube',
    'earlier pipeline', 'adopted', 'shadow', 'not rebuildable', 'quality', 'copies wrong',
    'records lost', 'trouble',
    'date', 'quiet', 'look', 'settle', 'unread', 'root absent', 'root unknown', 'disk low',
    'raw unread', 'raw again', 'begun', 'older night', 'failure', 'sent again', 'empty', 'given up'));
alter table night add column cause_words text;

-- Once and for all, by the words of earlier versions. What an operator wrote that reads like one of
-- them is taken for it, as it was before; a cause that waits is judged anew at the next start.
update night set hold_code = case
        when hold = 'restored' then 'restored'
        when hold like 'being restored%' then 'being restored'
        when hold like 'raw file changed after %: %' then 'raw changed'
        when hold like 'raw file gone after %: %' then 'raw gone'
        when hold like 'raw file that cannot be read any more: %' then 'raw unreadable'
        when hold like 'not taken, and could be the cameras'': %' then 'not taken'
        when hold like 'its folder is not there: %' then 'folder away'
        when hold like 'cubes of another date: %' then 'another date'
        when hold like 'no cube can be used: %' then 'no cube'
        when hold like 'the earlier pipeline was at work%' then 'earlier pipeline'
        when hold like 'processed by the earlier pipeline; adopted%' then 'adopted'
        when hold like 'as far as a shadow goes%' then 'shadow'
        when hold like 'raw files cannot be rebuilt: %' then 'not rebuildable'
        when hold like 'quality outside its limits: %' then 'quality'
        when hold like '% copies at %, once verified, %' then 'copies wrong'
        when hold like 'it bears % frame IDs, and % is lost%' then 'records lost'
        when hold like 'vampd cannot go on with it: %' then 'trouble'
        else 'order' end
    where hold is not null;
update night set hold_words = json_object('text', hold) where hold is not null;
update night set hold_words = json_set(hold_words, '$.path', substr(
        substr(hold, instr(hold, ': ') + 2), 1,
        instr(substr(hold, instr(hold, ': ') + 2) || char(10), char(10)) - 1))
    where hold_code in ('raw changed', 'raw gone', 'raw unreadable');
update night set cause_code = hold_code, cause_words = hold_words
    where status = 'held' and hold is not null;
update night set cause_code = 'shadow', cause_words = '{}'
    where status = 'held' and hold is null and cause like 'as far as a shadow goes%';
update night set cause_code = 'given up', cause_words = json_object('text', cause)
    where status = 'abandoned' and cause is not null;
update night set cause_code = 'empty', cause_words = json_object('text', cause) where status = 'empty';
alter table night drop column hold_was;
-- Whoever lifts a hold need not know of its code.
create trigger night_hold_lifted after update of hold on night
when new.hold is null and new.hold_code is not null begin
    update night set hold_code = null, hold_words = null where id = new.id;
end;

alter table task add column error_code text check (error_code in ('far disk', 'not plain'));
