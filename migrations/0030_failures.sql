-- More is known of errors: what ssh, rsync and the other machine said, and this machine's disks.
alter table task rename column error_code to error_code_was;
alter table task add column error_code text check (error_code in ('far disk', 'not plain', 'no folder',
    'no rights', 'host key', 'no name', 'unreachable', 'login', 'far full', 'in the way', 'no program',
    'full here', 'rights here'));
update task set error_code = error_code_was where error_code_was is not null;
alter table task drop column error_code_was;
