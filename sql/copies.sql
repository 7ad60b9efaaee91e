-- Which visitors' events of an hour and the hour before it came once more in the files that were added? Only for a lake whose
-- `events` tell files apart: `added`. Next: sql/touched.sql.
--
-- Where another copy may count now, the visitor may vanish from a quarter. Sketches forget nobody: the quarter's is to be
-- made anew (`renews`), unless what came is the same visitor's in the same quarter.
with
fresh as (
  select event_key, visitor, local_day, quarter, e.dt = :dt and e.hr = :hr as this_hour, bot, rejected
  from events e
  where ((e.dt = :dt and e.hr = :hr) or (e.dt = :dt_before and e.hr = :hr_before)) and added and product_id is null
)
select
  e.event_key, e.visitor, ts, site_id, e.quarter,
  case
    when f.visitor = e.visitor and f.local_day = e.local_day and f.quarter = e.quarter and this_hour and not f.bot and f.rejected is null then false
    else e.dt = :dt and e.hr = :hr
  end as renews
from events e
join fresh f on f.event_key = e.event_key
where ((e.dt = :dt and e.hr = :hr) or (e.dt = :dt_before and e.hr = :hr_before)) and not added and e.visitor is not null
