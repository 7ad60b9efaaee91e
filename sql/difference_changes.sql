-- Which local days of which sites does a difference change? Days of runs that died before their commit count too: their items
-- may have been written.
select site_id, local_day from differences where run = :run
union
select site_id, local_day from changes where run in (:pending)
