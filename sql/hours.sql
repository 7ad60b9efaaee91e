-- What happened in one hour, by site, quarter and local day (dimension ''), and by site, local day and the values of
-- each dimension? Reads what sql/steps.sql made of the hour, and of the events only the wide columns, which are read past
-- in a join, and never held. A row has the sums that its dimension offers (core/metrics.ts); the others are 0.
with
-- The events that were sent again: what counts of them stands in steps.
repeated as (
  select distinct event_key from steps where run = :run and repeated
),
-- What this hour's events of no visitor, those of bots, and refused ones count for.
others as (
  select
    site_id, event_key, quarter, local_day, rejected,
    case when action is not null then 1 else 0 end as events,
    case when action = 'page_view' then 1 else 0 end as pageviews,
    case when action = 'view_item' then 1 else 0 end as view_items,
    case when action = 'add_to_cart' then 1 else 0 end as add_to_carts,
    case when action = 'begin_checkout' then 1 else 0 end as checkouts,
    case when action = 'purchase' then 1 else 0 end as purchases,
    case when action = 'refund' then 1 else 0 end as refunds,
    case when action is not null then revenue_micros end as revenue_micros,
    case when bot and rejected is null then 1 else 0 end as bots,
    case when rejected is not null then quantity else 0 end as refused
  from (
    select *, case when rejected is null and not bot then name end as action
    from steps
    where run = :run and counted and visit_ts is null
  ) as named
),
-- Every event is its visit's last until another follows: exits = events − followed, of the day of the event followed.
by_page as (
  select
    site_id, local_day, page, sum(events) as events, sum(pageviews) as pageviews, sum(entries) as entries,
    sum(exits) as exits
  from (
    select
      site_id, local_day, page, 1 as events, case when name = 'page_view' then 1 else 0 end as pageviews,
      case when enters then 1 else 0 end as entries, case when visit_ts is not null then 1 else 0 end as exits
    from steps
    where run = :run and counted and not bot and rejected is null
    union all
    select site_id, followed_day as local_day, followed_page as page, 0 as events, 0 as pageviews, 0 as entries, -1 as exits
    from steps
    where run = :run and counted and followed_page is not null
  ) as pages
  group by site_id, local_day, page
),
by_event as (
  select site_id, local_day, name, count(*) as events
  from steps
  where run = :run and counted and not bot and rejected is null
  group by site_id, local_day, name
),
-- Products, and purchases and refunds by currency.
by_deed as (
  select
    site_id, local_day,
    case when grouping(product_id) = 0 then 'product' else 'currency' end as dimension,
    coalesce(product_id, currency) as value,
    count(case when action = 'view_item' then 1 end) as view_items,
    count(case when action = 'add_to_cart' then 1 end) as add_to_carts,
    count(case when action = 'begin_checkout' then 1 end) as checkouts,
    count(case when action = 'purchase' then 1 end) as purchases,
    count(case when action = 'refund' then 1 end) as refunds,
    -- Wider than a bigint while they add up: one merchant's absurd values must not fail the hour for all.
    case
      when grouping(product_id) = 0 then sum(cast(revenue_micros as decimal(38, 0)))
      else sum(cast(case when action = 'refund' then -abs(value_micros) else value_micros end as decimal(38, 0)))
    end as revenue_micros,
    sum(quantity) as items
  from (
    select
      site_id, local_day, value_micros, revenue_micros, quantity, product_id,
      case when product_id is null then currency end as currency,
      -- An item's rows are named after their event.
      case when product_id is null then name else substr(name, 1, length(name) - 5) end as action
    from (
      select e.site_id, local_day, name, product_id, value_micros, currency, revenue_micros, quantity
      from events e
      left join repeated r on r.event_key = e.event_key
      where e.dt = :dt and e.hr = :hr and r.event_key is null and not bot and rejected is null
        and (product_id is not null or name in ('purchase', 'refund'))
      union all
      select site_id, local_day, name, product_id, value_micros, currency, revenue_micros, quantity
      from steps
      where run = :run and repeated and this_hour and not bot and rejected is null and (product_id is not null or name in ('purchase', 'refund'))
    ) as deeds
  ) as actions
  group by grouping sets ((site_id, local_day, product_id), (site_id, local_day, currency))
),
-- Each visitor's quarters, of one visit each: what all sums of visits and all sketches add up from. (Integers add up
-- faster than bigints do.)
visit_quarters as (
  select
    site_id, local_day, quarter, visitor, visit_ts,
    max(sketch_bucket) as sketch_bucket,
    max(sketch_rank) as sketch_rank,
    cast(count(*) as integer) as events,
    cast(count(case when name = 'page_view' then 1 end) as integer) as pageviews,
    cast(count(begins) as integer) as visits,
    cast(count(engages) as integer) as engaged_visits,
    cast(sum(gap_ms) as integer) as visit_ms,
    cast(count(case when name = 'view_item' then 1 end) as integer) as view_items,
    cast(count(case when name = 'add_to_cart' then 1 end) as integer) as add_to_carts,
    cast(count(case when name = 'begin_checkout' then 1 end) as integer) as checkouts,
    cast(count(case when name = 'purchase' then 1 end) as integer) as purchases,
    cast(count(case when name = 'refund' then 1 end) as integer) as refunds,
    sum(cast(revenue_micros as decimal(38, 0))) as revenue_micros,
    cast(count(long_visit) as integer) as long_visit_events
  from steps
  where run = :run and counted and visit_ts is not null
  group by site_id, local_day, quarter, visitor, visit_ts
),
by_quarter as (
  select
    site_id, local_day, quarter, sum(events) as events, sum(pageviews) as pageviews, sum(visits) as visits,
    sum(engaged_visits) as engaged_visits, sum(visit_ms) as visit_ms, sum(view_items) as view_items,
    sum(add_to_carts) as add_to_carts, sum(checkouts) as checkouts, sum(purchases) as purchases,
    sum(refunds) as refunds, sum(revenue_micros) as revenue_micros, sum(bots) as bots, sum(rejected) as rejected,
    sum(long_visit_events) as long_visit_events
  from (
    select
      site_id, local_day, quarter, events, pageviews, visits, engaged_visits, visit_ms, view_items, add_to_carts, checkouts,
      purchases, refunds, revenue_micros, 0 as bots, 0 as rejected, long_visit_events
    from visit_quarters
    union all
    select
      site_id, local_day, quarter, events, pageviews, 0 as visits, 0 as engaged_visits, 0 as visit_ms, view_items,
      add_to_carts, checkouts, purchases, refunds, revenue_micros, bots, refused as rejected, 0 as long_visit_events
    from others
  ) as counted
  group by site_id, local_day, quarter
),
-- Who was there in a quarter: each of a few visitors, or the registers of many (core/sketch.ts).
sketches as (
  select site_id, local_day, quarter, array_agg(entry order by entry) as sketch
  from (
    select site_id, local_day, quarter, (sketch_bucket * 4096 + fingerprint) * 64 + max(sketch_rank) as entry
    from (
      select
        site_id, local_day, quarter, sketch_bucket, sketch_rank,
        case when count(*) over (partition by site_id, quarter) <= :exact_visitors then 1 + cast(abs(mod(visitor, 4095)) as integer) else 0 end as fingerprint
      from visit_quarters
    ) as people
    group by site_id, local_day, quarter, sketch_bucket, fingerprint
  ) as entries
  group by site_id, local_day, quarter
),
-- What brought a visit is what its first event says, and an event of no visitor is on its own. First the sums by visit:
-- 13 dimensions of a visit cost less than those of its events.
by_first_event as (
  select
    s.event_key, v.local_day, events, pageviews, visits, engaged_visits, visit_ms, view_items, add_to_carts, checkouts,
    purchases, refunds, revenue_micros
  from (
    select
      visitor, visit_ts, local_day,
      cast(sum(events) as integer) as events,
      cast(sum(pageviews) as integer) as pageviews,
      cast(sum(visits) as integer) as visits,
      cast(sum(engaged_visits) as integer) as engaged_visits,
      cast(sum(visit_ms) as integer) as visit_ms,
      cast(sum(view_items) as integer) as view_items,
      cast(sum(add_to_carts) as integer) as add_to_carts,
      cast(sum(checkouts) as integer) as checkouts,
      cast(sum(purchases) as integer) as purchases,
      cast(sum(refunds) as integer) as refunds,
      sum(revenue_micros) as revenue_micros
    from visit_quarters
    group by visitor, visit_ts, local_day
  ) as v
  join (select visitor, visit_ts, event_key from steps where run = :run and begins is not null) as s on s.visitor = v.visitor and s.visit_ts = v.visit_ts
  union all
  select
    event_key, local_day, events, pageviews, 0, 0, 0, view_items, add_to_carts, checkouts, purchases, refunds,
    revenue_micros
  from others
  where events = 1
),
-- Who came from where, with what: of every event once, to be found by its key, which is a hash of its site, too.
origins as (
  select
    e.site_id, e.event_key, source, channel, referrer_host, utm_source, utm_medium, utm_campaign, utm_content, utm_term,
    country, device, browser, os, language
  from events e
  left join repeated r on r.event_key = e.event_key
  where ((e.dt = :dt and e.hr = :hr) or (e.dt = :dt_before and e.hr = :hr_before))
    and r.event_key is null and product_id is null and not bot and rejected is null
  union all
  select
    site_id, event_key,
    split_part(origin, chr(31), 1), split_part(origin, chr(31), 2), split_part(origin, chr(31), 3), split_part(origin, chr(31), 4),
    split_part(origin, chr(31), 5), split_part(origin, chr(31), 6), split_part(origin, chr(31), 7), split_part(origin, chr(31), 8),
    split_part(origin, chr(31), 9), split_part(origin, chr(31), 10), split_part(origin, chr(31), 11), split_part(origin, chr(31), 12),
    split_part(origin, chr(31), 13)
  from steps
  where run = :run and repeated and product_id is null and not bot and rejected is null
),
brought as (
  select
    site_id, local_day, events, pageviews, visits, engaged_visits, visit_ms, view_items, add_to_carts, checkouts,
    purchases, refunds, revenue_micros,
    coalesce(source, '(not set)') as source, coalesce(channel, '(not set)') as channel,
    coalesce(referrer_host, '(not set)') as referrer, coalesce(utm_source, '(not set)') as utm_source,
    coalesce(utm_medium, '(not set)') as utm_medium, coalesce(utm_campaign, '(not set)') as utm_campaign,
    coalesce(utm_content, '(not set)') as utm_content, coalesce(utm_term, '(not set)') as utm_term,
    coalesce(country, '(not set)') as country, coalesce(device, '(not set)') as device,
    coalesce(browser, '(not set)') as browser, coalesce(os, '(not set)') as os,
    coalesce(language, '(not set)') as language
  from by_first_event f
  join origins o on o.event_key = f.event_key
),
by_origin as (
  select
    site_id, local_day,
    case
      when grouping(source) = 0 then 'source'
      when grouping(channel) = 0 then 'channel'
      when grouping(referrer) = 0 then 'referrer'
      when grouping(utm_source) = 0 then 'utm_source'
      when grouping(utm_medium) = 0 then 'utm_medium'
      when grouping(utm_campaign) = 0 then 'utm_campaign'
      when grouping(utm_content) = 0 then 'utm_content'
      when grouping(utm_term) = 0 then 'utm_term'
      when grouping(country) = 0 then 'country'
      when grouping(device) = 0 then 'device'
      when grouping(browser) = 0 then 'browser'
      when grouping(os) = 0 then 'os'
      when grouping(language) = 0 then 'language'
    end as dimension,
    -- Exactly one of them is grouped by; the others are null.
    coalesce(
      source, channel, referrer, utm_source, utm_medium, utm_campaign, utm_content, utm_term, country, device,
      browser, os, language
    ) as value,
    sum(events) as events, sum(pageviews) as pageviews, sum(visits) as visits, sum(engaged_visits) as engaged_visits,
    sum(visit_ms) as visit_ms, sum(view_items) as view_items, sum(add_to_carts) as add_to_carts,
    sum(checkouts) as checkouts, sum(purchases) as purchases, sum(refunds) as refunds, sum(revenue_micros) as revenue_micros
  from brought
  group by grouping sets (
    (site_id, local_day, source), (site_id, local_day, channel), (site_id, local_day, referrer),
    (site_id, local_day, utm_source), (site_id, local_day, utm_medium), (site_id, local_day, utm_campaign),
    (site_id, local_day, utm_content), (site_id, local_day, utm_term), (site_id, local_day, country),
    (site_id, local_day, device), (site_id, local_day, browser), (site_id, local_day, os),
    (site_id, local_day, language)
  )
)
select
  q.site_id, q.local_day, q.quarter, '' as dimension, '' as value,
  cast(events as bigint) as events,
  cast(pageviews as bigint) as pageviews,
  cast(visits as bigint) as visits,
  cast(engaged_visits as bigint) as engaged_visits,
  cast(coalesce(visit_ms, 0) as bigint) as visit_ms,
  cast(view_items as bigint) as view_items,
  cast(add_to_carts as bigint) as add_to_carts,
  cast(checkouts as bigint) as checkouts,
  cast(purchases as bigint) as purchases,
  cast(refunds as bigint) as refunds,
  cast(greatest(-9000000000000000000, least(9000000000000000000, coalesce(revenue_micros, 0))) as bigint) as revenue_micros,
  cast(0 as bigint) as items,
  cast(0 as bigint) as exits,
  cast(bots as bigint) as bots,
  cast(rejected as bigint) as rejected,
  cast(long_visit_events as bigint) as long_visit_events,
  sketch
from by_quarter q
left join sketches s on s.site_id = q.site_id and s.local_day = q.local_day and s.quarter = q.quarter
union all
select
  site_id, local_day, null, dimension, value,
  cast(events as bigint), cast(pageviews as bigint), cast(visits as bigint), cast(engaged_visits as bigint),
  cast(coalesce(visit_ms, 0) as bigint), cast(view_items as bigint), cast(add_to_carts as bigint),
  cast(checkouts as bigint), cast(purchases as bigint), cast(refunds as bigint),
  cast(greatest(-9000000000000000000, least(9000000000000000000, coalesce(revenue_micros, 0))) as bigint),
  0, 0, 0, 0, 0, null
from by_origin
union all
select
  site_id, local_day, null, dimension, page,
  case when dimension = 'page' then cast(events as bigint) else 0 end,
  case when dimension = 'page' then cast(pageviews as bigint) else 0 end,
  case when dimension = 'entry_page' then cast(entries as bigint) else 0 end,
  0, 0, 0, 0, 0, 0, 0, 0, 0,
  case when dimension = 'exit_page' then cast(exits as bigint) else 0 end,
  0, 0, 0, null
from by_page
-- All three from one reading of the pages.
cross join (select 'page' as dimension union all select 'entry_page' union all select 'exit_page') as dimensions
where (dimension = 'page' and events > 0) or (dimension = 'entry_page' and entries > 0) or (dimension = 'exit_page' and exits <> 0)
union all
select site_id, local_day, null, 'event', name, events, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, null
from by_event
union all
select
  site_id, local_day, null, dimension, value,
  0, 0, 0, 0, 0, view_items, add_to_carts, checkouts, purchases, refunds,
  cast(greatest(-9000000000000000000, least(9000000000000000000, coalesce(revenue_micros, 0))) as bigint),
  case when dimension = 'product' then cast(items as bigint) else 0 end,
  0, 0, 0, 0, null
from by_deed
where value is not null
union all
select site_id, local_day, null, 'rejection', rejected, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, cast(sum(refused) as bigint), 0, null
from others
where rejected is not null
group by site_id, local_day, rejected
