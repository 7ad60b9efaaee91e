-- What are the events that were added to an hour, or to the hour before it, and those that may count otherwise since then?
-- Rows of `events` as sql/steps.sql and sql/hours.sql read them, which count them once with and once without the `added`
-- ones. What is settled stands in the hour before, whatever its time: both look back on that, and count nothing of it.
-- Only for a lake whose `events` tell files apart; reads those that sql/touched.sql named.
with
touched_keys as (
  -- What was sent again before has its hour, and its copies are all here: it counts the same both times.
  select event_key, settled and count(case when is_event then 1 end) = 1 as settled
  from touched
  where run = :run
  group by event_key, settled
)
select
  site_id, event_key, name, ts, place, quarter, local_day, visitor, sketch_bucket, sketch_rank, path, referrer_host, source,
  channel, utm_source, utm_medium, utm_campaign, utm_content, utm_term, country, device, browser, os, language, value_micros,
  currency, revenue_micros, product_id, quantity, bot, rejected, via, received_at, processed_at, added, e.dt, e.hr
from events e
where ((e.dt = :dt and e.hr = :hr) or (e.dt = :dt_before and e.hr = :hr_before)) and added
union all
select
  site_id, e.event_key, name, ts, place, quarter, local_day, visitor, sketch_bucket, sketch_rank, path, referrer_host, source,
  channel, utm_source, utm_medium, utm_campaign, utm_content, utm_term, country, device, browser, os, language, value_micros,
  currency, revenue_micros, product_id, quantity, bot, rejected, via, received_at, processed_at, added,
  case when settled then :dt_before else e.dt end, case when settled then :hr_before else e.hr end
from events e
join touched_keys k on k.event_key = e.event_key
where ((e.dt = :dt and e.hr = :hr) or (e.dt = :dt_before and e.hr = :hr_before)) and not added
  and (product_id is null or not settled)
