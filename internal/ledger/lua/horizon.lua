-- Has runs that are not here looked up in our bucket, if they finished before now.
-- KEYS[1] slot prefix
-- Returns 1.
look_up_before_now()
return 1
