-- Copies of the whole ledger: by place ('' is here), the newest that is right there, and the last
-- try. The name of a copy tells when it was made, and the SHA-256 of its bytes.
create table ledger_copy (
    place text primary key,
    name text,                      -- null: none yet, as the three below
    size_bytes integer,
    event integer,                  -- the last one that is in it
    made_us integer,
    tried_us integer not null,
    error text,                     -- of the last try; null: it went well
    failing_since_us integer,
    is_damaged integer not null default 0 check (is_damaged in (0, 1)), -- the ledger itself, by that
    check ((name is null) = (made_us is null) and (name is null) = (event is null)),
    check ((error is null) = (failing_since_us is null))
) strict;
