-- Why a file is in its state, above all in quarantine, as a code with arguments: nothing reads a sentence
-- back. The sentences stay beside the codes, as they were on the day.

alter table raw_file add column reason_code text check (reason_code in ('seen', 'to be read', 'changing',
    'being written', 'left over', 'written anew', 'unconfirmed', 'unfinished row', 'lost cube', 'no timing', 'truncated', 'too long', 'rows',
    'unreadable', 'content', 'wrong camera', 'not together', 'no exposure', 'bad exposure',
    'odd', 'reading fails', 'contradiction', 'clock', 'by hand', 'left out', 'anew', 'reopened',
    'late', 'not a cube', 'went', 'back', 'trashed', 'given back', 'lost', 'on its way', 'other'));
alter table raw_file add column reason_words text;  -- what the sentence names, as JSON
alter table trash add column was_code text check (was_code in ('seen', 'to be read', 'changing',
    'being written', 'left over', 'written anew', 'unconfirmed', 'unfinished row', 'lost cube', 'no timing', 'truncated', 'too long', 'rows',
    'unreadable', 'content', 'wrong camera', 'not together', 'no exposure', 'bad exposure',
    'odd', 'reading fails', 'contradiction', 'clock', 'by hand', 'left out', 'anew', 'reopened',
    'late', 'not a cube', 'went', 'back', 'trashed', 'given back', 'lost', 'on its way', 'other'));
alter table trash add column was_words text;

-- Once and for all, by the words of earlier versions. A person's words on a file that this person
-- quarantined are never taken for vampd's own; what nobody knows stays as it is, as 'other'.
update raw_file set reason_code = case
        when state = 'quarantined' and id in (select raw_file from given_up) then 'left out'
        when state = 'quarantined' and changed_by like 'uid %' then 'by hand'
        when reason = 'seen' then 'seen'
        when reason = 'settled, to be read' then 'to be read'
        when reason in ('cube still changing', 'timing file still changing',
            'cube and timing file still changing') then 'changing'
        when reason = 'being written under its temporary name' then 'being written'
        when reason like 'left over by a crashed write: %' then 'left over'
        when reason like 'its name is being written: %' then 'written anew'
        when reason like 'a temporary file of the same name is left over, %' then 'unconfirmed'
        when reason = 'the last row of the timing file is not finished' then 'unfinished row'
        when reason like 'lost cube: %' then 'lost cube'
        when reason = 'no timing file' then 'no timing'
        when reason like 'truncated: % bytes, its header says %' then 'truncated'
        when reason like 'too long: % bytes, its header says %' then 'too long'
        when reason glob '[0-9]* rows for [0-9]* frames' then 'rows'
        when reason like 'cannot be read: %' then 'unreadable'
        when reason = 'EXPTIME is missing' then 'no exposure'
        when reason like 'EXPTIME is not a positive number: %' then 'bad exposure'
        when reason like 'what it says is odd: %' or reason like 'what was read of it is odd: %' then 'odd'
        when reason like 'reading it fails: %' then 'reading fails'
        when reason like '%, but it lies in the folder of camera _' then 'wrong camera'
        when reason like '%: they do not belong together' then 'not together'
        when reason like 'vcam_/% and vcam_/%: nobody can tell %'
            or reason like 'vcam_/% and vcam_/%, one within the other: %' then 'contradiction'
        when reason like 'no acquisition times, and nothing proves %' then 'clock'
        when reason like 'vcam_/%: %' or reason like 'timing file of more than % bytes%' then 'content'
        when reason = 'to be judged anew' then 'anew'
        when reason = 'came after its night was closed' then 'late'
        when reason = 'not a file of the cameras' then 'not a cube'
        when reason = 'no longer in its folder' then 'went'
        when reason = 'back in its folder' then 'back'
        when reason like 'in the trash; %' then 'trashed'
        when reason = 'its space was given back' then 'given back'
        when reason like 'neither in its place nor in the trash, %' then 'lost'
        when reason = 'on its way into or out of the trash' then 'on its way'
        else 'other' end
    where reason is not null;
update raw_file set reason_words = json_object('text', reason) where reason is not null
    and reason_code not in ('seen', 'to be read', 'unfinished row', 'lost cube', 'no timing', 'no exposure',
        'anew', 'late', 'not a cube', 'went', 'back', 'given back', 'on its way');
update trash set was_code = 'other', was_words = json_object('text', was_reason) where was_reason is not null;
