-- What is wrong with the compiled Rice coder, as the daemon found when it started.

alter table daemon add column coder_trouble text; -- null: nothing, or there is none
