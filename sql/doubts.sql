-- Is there anything in what was counted by difference that does not add up? One row for each reason to count whole.
--
-- A visitor who is no longer among those of a quarter, whose sketch is not made anew.
select 'a visitor vanished' as doubt
from (
  select site_id, local_day, quarter, visitor, sketch_bucket, sketch_rank from steps where run = :before and counted and visit_ts is not null
  except
  select site_id, local_day, quarter, visitor, sketch_bucket, sketch_rank from steps where run = :after and counted and visit_ts is not null
) as v
left join (select distinct site_id, quarter from copies where run = :run and renews) r on r.site_id = v.site_id and r.quarter = v.quarter
where r.site_id is null
union all
-- A quarter of two local days, as a site has that changed its zone: its visitors are told apart in both, or in neither.
select 'a quarter has two local days'
from (
  select c.site_id, c.quarter
  from hours c
  join (select distinct site_id, quarter from hours where run in (:after, :before) and dimension = '') a on a.site_id = c.site_id and a.quarter = c.quarter
  where run in (:after, :committed) and dimension = ''
  group by c.site_id, c.quarter
  having count(distinct local_day) > 1
) as quarters
union all
-- Revenue so absurd that it stands at the limit of what is stored (sql/hours.sql), or may pass it where it is added up.
select 'revenue is out of bounds'
from hours
where run in (:after, :before, :committed) and (revenue_micros >= 4000000000000000000 or revenue_micros <= -4000000000000000000)
