-- What does a run of an hour hold, of all sites?
select
  cast(count(distinct site_id) as bigint) as sites,
  cast(coalesce(sum(events), 0) as bigint) as events,
  cast(coalesce(sum(bots), 0) as bigint) as bots,
  cast(coalesce(sum(rejected), 0) as bigint) as rejected,
  cast(coalesce(sum(long_visit_events), 0) as bigint) as long_visit_events
from hours
where run = :run and dimension = ''
