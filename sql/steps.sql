-- What counts of an hour's events, and how does each follow on the one before? Reads the hour and the hour before it, so
-- that duplicates and visits need no state. Next: sql/hours.sql, which adds up the rows. There is one for
--   each event that counts in this hour (`counted`): of a visitor, with its visit (`visit_ts`) and as a step from the
--     visitor's event before; or of no visitor, of a bot, or refused
--   each event of the hour before that begins a visit
--   what counts of each event that was sent again (`repeated`) and of its items, with the columns that are read where they
--     are of all other events; it may be one of those that count without a visit
--
-- An hour has millions of events, so what is sorted is narrow: of all events only those sent again, and of visitors'
-- only what tells where visits begin.
with
-- The events that may count twice: hardly any, but whatever is below has to leave them out.
repeated as (
  select event_key
  from events e
  where ((e.dt = :dt and e.hr = :hr) or (e.dt = :dt_before and e.hr = :hr_before)) and product_id is null
  group by event_key
  having count(*) > 1
),
-- Of each of them one version an hour, with that version's items: the one received last, as it was processed last.
versions as (
  select *
  from (
    select
      e.site_id, e.event_key, e.dt = :dt and e.hr = :hr as this_hour, name, ts, place, quarter, local_day, visitor,
      sketch_bucket, sketch_rank, path, referrer_host, source, channel, utm_source, utm_medium, utm_campaign,
      utm_content, utm_term, country, device, browser, os, language, value_micros, currency, revenue_micros,
      product_id, quantity, bot, rejected,
      rank() over (
        partition by site_id, e.event_key, e.dt, e.hr order by received_at desc, processed_at desc, place desc
      ) as version,
      row_number() over (
        partition by site_id, e.event_key, e.dt, e.hr, product_id
        order by received_at desc, processed_at desc, place desc, ts desc, name, visitor, path, value_micros, via
      ) as copy
    from events e
    join repeated r on r.event_key = e.event_key
    where ((e.dt = :dt and e.hr = :hr) or (e.dt = :dt_before and e.hr = :hr_before))
  ) as copies
  where version = 1 and copy = 1
),
-- None in this hour if the hour before has the event; one that was refused there may come again.
chosen as (
  select *
  from (
    select
      *,
      max(case when not this_hour and rejected is null then 1 else 0 end) over (partition by site_id, event_key) as had_before
    from versions
  ) as known
  where not this_hour or had_before = 0
),
-- What visitors did in this hour, and in the hour before if they were there in this one. (A visitor's hash is of one
-- site, and the visitors of a quarter are told apart by it.)
visitor_events as (
  select
    e.site_id, e.event_key, ts, place, quarter, local_day, visitor, sketch_bucket, sketch_rank, path, name,
    revenue_micros, e.dt = :dt and e.hr = :hr as this_hour
  from events e
  left join repeated r on r.event_key = e.event_key
  where ((e.dt = :dt and e.hr = :hr) or (e.dt = :dt_before and e.hr = :hr_before))
    and r.event_key is null and product_id is null and not bot and rejected is null
    and visitor in (select visitor from events e where e.dt = :dt and e.hr = :hr and visitor is not null)
  union all
  select
    site_id, event_key, ts, place, quarter, local_day, visitor, sketch_bucket, sketch_rank, path, name, revenue_micros,
    this_hour
  from chosen
  where product_id is null and not bot and rejected is null and visitor is not null
),
-- A visitor's events in order, those of the same moment as they were sent. One hour of look-back is enough to know
-- whether an event begins a visit, and whether it is the second of one.
neighbours as (
  select
    *,
    lag(ts) over visitor_order as previous_ts,
    lag(ts, 2) over visitor_order as ts_before_previous,
    lag(path) over visitor_order as previous_path,
    lag(local_day) over visitor_order as previous_day,
    max(case when name = 'page_view' then ts end) over (
      partition by visitor order by ts, place, event_key rows between unbounded preceding and 1 preceding
    ) as previous_view_ts
  from visitor_events
  window visitor_order as (partition by visitor order by ts, place, event_key)
),
visits as (
  select
    *,
    max(case when begins then ts end) over (
      partition by visitor order by ts, place, event_key rows between unbounded preceding and current row
    ) as visit_ts
  from (
    select *, previous_ts is null or ts - previous_ts > :visit_gap_ms as begins
    from neighbours
  ) as marked
  where this_hour or begins
)
-- The columns are those of STEP_COLUMNS (core/metrics.ts). A visit's entry page is known where it comes soon: later, the
-- hour before may not show whether there was a page view already.
select
  site_id, this_hour, this_hour as counted, quarter, local_day, name, coalesce(path, '(not set)') as page, revenue_micros,
  false as bot, null as rejected, null as quantity,
  visitor, visit_ts, sketch_bucket, sketch_rank,
  case when begins then 1 end as begins,
  case when not begins and (ts_before_previous is null or previous_ts - ts_before_previous > :visit_gap_ms) then 1 end as engages,
  case when not begins then ts - previous_ts end as gap_ms,
  case when not begins then coalesce(previous_path, '(not set)') end as followed_page,
  case when not begins then previous_day end as followed_day,
  name = 'page_view' and (previous_view_ts is null or previous_view_ts < visit_ts) and ts - visit_ts <= :visit_gap_ms as enters,
  -- Its visitor may have been there before the hour before.
  case when visit_ts < :look_back_from + :visit_gap_ms then 1 end as long_visit,
  -- What brought a visit is found by its first event.
  case when begins then event_key end as event_key,
  false as repeated, null as product_id, null as value_micros, null as currency, null as origin
from visits
union all
select
  e.site_id, true, true, quarter, local_day, name, coalesce(path, '(not set)'), revenue_micros,
  bot, rejected, quantity,
  null, null, null, null, null, null, null, null, null, null, null,
  e.event_key,
  false, null, null, null, null
from events e
left join repeated r on r.event_key = e.event_key
where e.dt = :dt and e.hr = :hr and r.event_key is null and product_id is null and (visitor is null or bot or rejected is not null)
union all
select
  site_id, this_hour, this_hour and product_id is null and (visitor is null or bot or rejected is not null),
  quarter, local_day, name, coalesce(path, '(not set)'), revenue_micros,
  bot, rejected, quantity,
  null, null, null, null, null, null, null, null, null, null, null,
  event_key,
  true, product_id, value_micros, currency,
  -- One text instead of 13 columns that nearly no row has. Values hold no control characters.
  concat_ws(chr(31),
    coalesce(source, '(not set)'), coalesce(channel, '(not set)'), coalesce(referrer_host, '(not set)'),
    coalesce(utm_source, '(not set)'), coalesce(utm_medium, '(not set)'), coalesce(utm_campaign, '(not set)'),
    coalesce(utm_content, '(not set)'), coalesce(utm_term, '(not set)'), coalesce(country, '(not set)'),
    coalesce(device, '(not set)'), coalesce(browser, '(not set)'), coalesce(os, '(not set)'),
    coalesce(language, '(not set)')
  )
from chosen
