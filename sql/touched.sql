-- Which events of an hour and the hour before it may count otherwise, or say how others do, now that files were added, and in
-- which of the files before do they lie? One row for each row of them there. Only for a lake whose `events` tell files
-- apart: `added`, and `file`, its place among those before. Next: sql/affected.sql.
--
-- Whatever counts is of one visitor, of one key, or of one row: so these are the events with an added one's key, those of
-- the visitors of either, and all with the key of one of these. Of a visitor nothing changes before the first such event
-- (`since`); of what is before that only the visit it may belong to is of interest, which says how those after it count
-- (`settled`). Copies that will not count may be among them; they make that visit longer than it is at most.
with
fresh as (
  select event_key, visitor, ts
  from events e
  where ((e.dt = :dt and e.hr = :hr) or (e.dt = :dt_before and e.hr = :hr_before)) and added
),
visitors as (
  select visitor, min(ts) as since
  from (
    select visitor, ts from fresh where visitor is not null
    union all
    select visitor, ts from copies where run = :run
  ) as those
  group by visitor
),
neighbours as (
  select
    event_key, e.visitor, ts, since,
    lag(ts) over (partition by e.visitor order by ts) as previous_ts,
    max(case when ts < since then ts end) over (partition by e.visitor) as last_ts
  from events e
  join visitors v on v.visitor = e.visitor
  where ((e.dt = :dt and e.hr = :hr) or (e.dt = :dt_before and e.hr = :hr_before)) and not added
),
visits as (
  select
    *,
    max(case when ts < since and (previous_ts is null or ts - previous_ts > :visit_gap_ms) then ts end) over (partition by visitor) as visit_ts
  from neighbours
),
keys as (
  select event_key, max(open) as open
  from (
    select event_key, 1 as open from fresh
    union all
    select event_key, case when ts < since then 0 else 1 end as open
    from visits
    where ts >= since or (ts >= visit_ts and since - last_ts <= :visit_gap_ms)
    union all
    -- Who was there in a quarter whose sketch is made anew.
    select event_key, 1 as open
    from events e
    join (select distinct site_id, quarter from copies where run = :run and renews) r on r.site_id = e.site_id and r.quarter = e.quarter
    where e.dt = :dt and e.hr = :hr and not added and visitor is not null
  ) as those
  group by event_key
)
select e.event_key, product_id is null as is_event, open = 0 as settled, file
from events e
join keys k on k.event_key = e.event_key
where ((e.dt = :dt and e.hr = :hr) or (e.dt = :dt_before and e.hr = :hr_before)) and not added
