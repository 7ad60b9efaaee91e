-- By how much do the sums of two runs of an hour differ, those with what was added and those without, and which sketches has
-- the hour now? One row for each value (or quarter) that differs from the committed run.
with
sums as (
  select
    coalesce(a.site_id, b.site_id) as site_id, coalesce(a.local_day, b.local_day) as local_day, coalesce(a.quarter, b.quarter) as quarter,
    coalesce(a.dimension, b.dimension) as dimension, coalesce(a.value, b.value) as value,
    coalesce(a.events, 0) - coalesce(b.events, 0) as events, coalesce(a.pageviews, 0) - coalesce(b.pageviews, 0) as pageviews,
    coalesce(a.visits, 0) - coalesce(b.visits, 0) as visits,
    coalesce(a.engaged_visits, 0) - coalesce(b.engaged_visits, 0) as engaged_visits,
    coalesce(a.visit_ms, 0) - coalesce(b.visit_ms, 0) as visit_ms,
    coalesce(a.view_items, 0) - coalesce(b.view_items, 0) as view_items,
    coalesce(a.add_to_carts, 0) - coalesce(b.add_to_carts, 0) as add_to_carts,
    coalesce(a.checkouts, 0) - coalesce(b.checkouts, 0) as checkouts,
    coalesce(a.purchases, 0) - coalesce(b.purchases, 0) as purchases,
    coalesce(a.refunds, 0) - coalesce(b.refunds, 0) as refunds,
    coalesce(a.revenue_micros, 0) - coalesce(b.revenue_micros, 0) as revenue_micros,
    coalesce(a.items, 0) - coalesce(b.items, 0) as items, coalesce(a.exits, 0) - coalesce(b.exits, 0) as exits,
    coalesce(a.bots, 0) - coalesce(b.bots, 0) as bots, coalesce(a.rejected, 0) - coalesce(b.rejected, 0) as rejected,
    coalesce(a.long_visit_events, 0) - coalesce(b.long_visit_events, 0) as long_visit_events
  from (select * from hours where run = :after) a
  full outer join (select * from hours where run = :before) b
    on b.site_id = a.site_id and b.local_day = a.local_day and b.dimension = a.dimension and b.value = a.value
      and coalesce(b.quarter, -1) = coalesce(a.quarter, -1)
),
-- Who was there in a quarter: those who were before, unless its sketch is made anew, and those of what was affected. Below
-- 64 in its last 18 bits an entry is a register's (core/sketch.ts), and with it all are.
people as (
  select
    h.site_id, local_day, h.quarter, max(entry) as entry, max(case when mod(entry, 262144) < 64 then 1 else 0 end) as is_register
  from hours h
  join (select distinct site_id, quarter from sums where dimension = '') s on s.site_id = h.site_id and s.quarter = h.quarter
  left join (select distinct site_id, quarter from copies where run = :run and renews) r on r.site_id = h.site_id and r.quarter = h.quarter
  cross join unnest(sketch) as entries (entry)
  where dimension = '' and (run = :after or (run = :committed and r.site_id is null))
  group by h.site_id, local_day, h.quarter, entry - mod(entry, 64)
),
sketches as (
  select site_id, local_day, quarter, array_agg(entry order by entry) as sketch
  from (
    select site_id, local_day, quarter, max(entry) as entry
    from (
      select
        site_id, local_day, quarter,
        case
          when count(*) over (partition by site_id, quarter) > :exact_visitors or max(is_register) over (partition by site_id, quarter) = 1
            then entry - mod(entry, 262144) + mod(entry, 64)
          else entry
        end as entry
      from people
    ) as told
    group by site_id, local_day, quarter, entry - mod(entry, 64)
  ) as entries
  group by site_id, local_day, quarter
)
select
  s.site_id, s.local_day, s.quarter, s.dimension, s.value,
  s.events, s.pageviews, s.visits, s.engaged_visits, s.visit_ms, s.view_items, s.add_to_carts, s.checkouts, s.purchases,
  s.refunds, s.revenue_micros, s.items, s.exits, s.bots, s.rejected, s.long_visit_events,
  k.sketch
from sums s
left join sketches k on k.site_id = s.site_id and k.local_day = s.local_day and k.quarter = s.quarter
left join (select * from hours where run = :committed and dimension = '') c
  on c.site_id = s.site_id and c.local_day = s.local_day and c.quarter = s.quarter
where k.sketch is distinct from c.sketch or s.events <> 0 or s.pageviews <> 0 or s.visits <> 0 or s.engaged_visits <> 0 or s.visit_ms <> 0 or
  s.view_items <> 0 or s.add_to_carts <> 0 or s.checkouts <> 0 or s.purchases <> 0 or s.refunds <> 0 or
  s.revenue_micros <> 0 or s.items <> 0 or s.exits <> 0 or s.bots <> 0 or s.rejected <> 0 or
  s.long_visit_events <> 0
