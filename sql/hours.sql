-- What happened in one hour, by site, quarter and local day (dimension ''), and by site, local day and the values of
-- each dimension? Reads the hour and the hour before it, so that duplicates and visits need no state. A row has the sums
-- that its dimension offers (core/metrics.ts); the others are 0.
--
-- An hour has millions of rows, so what is sorted is narrow: of all rows only those sent again, and of the visits'
-- events only what tells where visits begin. The wide columns are read past in joins, and never held.
with
-- The events that may count twice: hardly any, but whatever is below has to leave them out.
repeated as (
  select distinct site_id, event_key
  from (
    select site_id, event_key
    from events e
    where ((e.dt = :dt and e.hr = :hr) or (e.dt = :dt_before and e.hr = :hr_before))
    group by site_id, event_key, product_id
    having count(*) > 1
  ) as sent_again
),
versions as (
  select
    *,
    -- Of copies that were processed at once, the one received last.
    row_number() over (
      partition by site_id, event_key, product_id, this_hour order by processed_at desc, received_at desc, place desc, ts
    ) as copy,
    max(case when this_hour then processed_at end) over same_event as last_processed_at,
    max(case when not this_hour then processed_at end) over same_event as last_processed_before,
    -- Whether the hour before has the event already; one that was refused there may come again.
    max(case when not this_hour and rejected is null then 1 else 0 end) over same_event as had_before
  from (
    select e.*, e.dt = :dt and e.hr = :hr as this_hour
    from events e
    join repeated on repeated.site_id = e.site_id and repeated.event_key = e.event_key
    where ((e.dt = :dt and e.hr = :hr) or (e.dt = :dt_before and e.hr = :hr_before))
  ) as copies
  window same_event as (partition by site_id, event_key)
),
-- Of those one row per event, and per product of it, as it was processed last in its hour; none if the hour before had
-- it. Below they stand beside the rows that were sent once.
chosen as (
  select *
  from versions
  where copy = 1
    and case
      when this_hour then had_before = 0 and processed_at = last_processed_at
      else processed_at = last_processed_before
    end
),
-- What visitors did, in both hours. (A visitor's hash is of one site.)
visitor_events as (
  select
    e.site_id, e.event_key, ts, place, local_day, visitor, path, name = 'page_view' as is_view,
    e.dt = :dt and e.hr = :hr as this_hour
  from events e
  left join repeated on repeated.site_id = e.site_id and repeated.event_key = e.event_key
  where ((e.dt = :dt and e.hr = :hr) or (e.dt = :dt_before and e.hr = :hr_before))
    and repeated.event_key is null and visitor is not null and product_id is null and not bot and rejected is null
  union all
  select site_id, event_key, ts, place, local_day, visitor, path, name = 'page_view' as is_view, this_hour
  from chosen
  where visitor is not null and product_id is null and not bot and rejected is null
),
-- A visitor's events in order, those of the same moment as they were sent. One hour of look-back is enough to know
-- whether an event begins a visit, and whether it is the second of one.
neighbours as (
  select
    *,
    lag(ts) over visitor_order as previous_ts,
    lag(ts, 2) over visitor_order as ts_before_previous,
    lag(path) over visitor_order as previous_path,
    max(case when is_view then ts end) over (
      partition by visitor order by ts, place, event_key rows between unbounded preceding and 1 preceding
    ) as previous_view_ts
  from visitor_events
  window visitor_order as (partition by visitor order by ts, place, event_key)
),
marked as (
  select *, previous_ts is null or ts - previous_ts > :visit_gap_ms as begins
  from neighbours
),
visits as (
  select
    *,
    max(case when begins then ts end) over until_here as visit_ts,
    -- A visit's name is the moment and the key of its first event in one number, since a maximum finds the last of them.
    max(case when begins then cast(ts as decimal(38, 0)) * cast('100000000000000000000' as decimal(38, 0)) + event_key end) over until_here as visit
  from marked
  where this_hour or begins
  window until_here as (partition by visitor order by ts, place, event_key rows between unbounded preceding and current row)
),
-- This hour's events of visits, each as a step from the one before.
steps as (
  select
    site_id, event_key, local_day, visit, coalesce(path, '(not set)') as page,
    case when begins then 1 end as begins,
    case when not begins and (ts_before_previous is null or previous_ts - ts_before_previous > :visit_gap_ms) then 1 end as engages,
    case when not begins then ts - previous_ts end as gap_ms,
    case when not begins then coalesce(previous_path, '(not set)') end as followed_page,
    is_view and (previous_view_ts is null or previous_view_ts < visit_ts) as enters
  from visits
  where this_hour
),
-- Every event is its visit's last until another follows: exits = events − followed, both known in their hour.
by_end as (
  select
    site_id, local_day,
    case when grouping(entry_page) = 0 then 'entry_page' else 'exit_page' end as dimension,
    coalesce(entry_page, last_page, followed_page) as value,
    count(entry_page) as visits,
    case when grouping(last_page) = 0 then count(*) when grouping(followed_page) = 0 then -count(*) else 0 end as exits
  from (
    select site_id, local_day, page as last_page, followed_page, case when enters then page end as entry_page
    from steps
  ) as ends
  group by grouping sets ((site_id, local_day, entry_page), (site_id, local_day, last_page), (site_id, local_day, followed_page))
),
-- What was done in this hour, whoever did it.
deeds as (
  select
    e.site_id, local_day, name, path, product_id, value_micros, currency, revenue_micros, quantity, rejected
  from events e
  left join repeated on repeated.site_id = e.site_id and repeated.event_key = e.event_key
  where e.dt = :dt and e.hr = :hr and repeated.event_key is null and not bot
  union all
  select site_id, local_day, name, path, product_id, value_micros, currency, revenue_micros, quantity, rejected
  from chosen
  where this_hour and not bot
),
by_deed as (
  select
    site_id, local_day,
    case when grouping(page) = 0 then 'page' when grouping(event) = 0 then 'event' else kind end as dimension,
    coalesce(page, event, kind_value) as value,
    count(event) as events,
    count(case when action = 'page_view' then 1 end) as pageviews,
    count(case when action = 'view_item' then 1 end) as view_items,
    count(case when action = 'add_to_cart' then 1 end) as add_to_carts,
    count(case when action = 'begin_checkout' then 1 end) as checkouts,
    count(case when action = 'purchase' then 1 end) as purchases,
    count(case when action = 'refund' then 1 end) as refunds,
    -- Wider than a bigint while they add up: one merchant's absurd values must not fail the hour for all.
    case
      when kind = 'currency' then sum(cast(case when action = 'refund' then -abs(value_micros) else value_micros end as decimal(38, 0)))
      else sum(cast(case when action is not null then revenue_micros end as decimal(38, 0)))
    end as revenue_micros,
    sum(quantity) as quantity
  from (
    select
      site_id, local_day, value_micros, revenue_micros, quantity,
      case when rejected is null and product_id is null then coalesce(path, '(not set)') end as page,
      case when rejected is null and product_id is null then name end as event,
      -- An item's rows are named after their event.
      case when rejected is null then case when product_id is null then name else substr(name, 1, length(name) - 5) end end as action,
      -- No row has two of these.
      case
        when rejected is not null then 'rejection'
        when product_id is not null then 'product'
        when name in ('purchase', 'refund') and currency is not null then 'currency'
      end as kind,
      coalesce(rejected, product_id, case when name in ('purchase', 'refund') then currency end) as kind_value
    from deeds
  ) as kinds
  group by grouping sets ((site_id, local_day, page), (site_id, local_day, event), (site_id, local_day, kind, kind_value))
),
-- This hour's events, those of bots, and refused ones, which all count in the hour's totals; items do not.
counted as (
  select
    e.site_id, e.event_key, local_day, quarter, ts, name, sketch_bucket, sketch_rank, revenue_micros, product_id, quantity, bot, rejected
  from events e
  left join repeated on repeated.site_id = e.site_id and repeated.event_key = e.event_key
  where e.dt = :dt and e.hr = :hr and repeated.event_key is null and (product_id is null or bot)
  union all
  select
    site_id, event_key, local_day, quarter, ts, name, sketch_bucket, sketch_rank, revenue_micros, product_id, quantity, bot, rejected
  from chosen
  where this_hour and (product_id is null or bot)
),
facts as (
  select
    c.site_id, c.local_day, quarter, begins, engages, gap_ms, sketch_rank,
    case when visit is not null then sketch_bucket end as sketch_bucket,
    -- An event of no visitor is on its own what brought it.
    case when rejected is null and not bot then coalesce(visit, cast(ts as decimal(38, 0)) * cast('100000000000000000000' as decimal(38, 0)) + c.event_key) end as visit,
    case when rejected is null and not bot then name end as action,
    case when rejected is null and not bot then revenue_micros end as revenue_micros,
    case when rejected is null and bot and product_id is null then 1 end as bots,
    case when rejected is not null then quantity end as rejected
  from counted c
  left join steps on steps.site_id = c.site_id and steps.event_key = c.event_key
),
-- By quarter and register of its sketch, and by visit: 13 dimensions of a visit cost less than those of its events.
-- (Integers add up faster than bigints do.)
totals as (
  select
    site_id, local_day, quarter, visit,
    sketch_bucket * 64 + max(sketch_rank) as register,
    cast(count(action) as integer) as events,
    cast(count(case when action = 'page_view' then 1 end) as integer) as pageviews,
    cast(count(begins) as integer) as visits,
    cast(count(engages) as integer) as engaged_visits,
    sum(gap_ms) as visit_ms,
    cast(count(case when action = 'view_item' then 1 end) as integer) as view_items,
    cast(count(case when action = 'add_to_cart' then 1 end) as integer) as add_to_carts,
    cast(count(case when action = 'begin_checkout' then 1 end) as integer) as checkouts,
    cast(count(case when action = 'purchase' then 1 end) as integer) as purchases,
    cast(count(case when action = 'refund' then 1 end) as integer) as refunds,
    sum(cast(revenue_micros as decimal(38, 0))) as revenue_micros,
    cast(count(bots) as integer) as bots,
    sum(rejected) as rejected
  from facts
  group by grouping sets ((site_id, local_day, quarter, sketch_bucket), (site_id, local_day, visit))
),
-- Who came from where, with what: of every event once, to be found by a visit's name.
origins as (
  select
    e.site_id, e.event_key, e.ts, source, channel, referrer_host, utm_source, utm_medium, utm_campaign, utm_content,
    utm_term, country, device, browser, os, language
  from events e
  left join repeated on repeated.site_id = e.site_id and repeated.event_key = e.event_key
  where ((e.dt = :dt and e.hr = :hr) or (e.dt = :dt_before and e.hr = :hr_before))
    and repeated.event_key is null and product_id is null and not bot and rejected is null
  union all
  select
    site_id, event_key, ts, source, channel, referrer_host, utm_source, utm_medium, utm_campaign, utm_content,
    utm_term, country, device, browser, os, language
  from chosen
  where product_id is null and not bot and rejected is null
),
-- What brought a visit is what its first event says.
brought as (
  select
    v.site_id, local_day, events, pageviews, visits, engaged_visits, cast(visit_ms as integer) as visit_ms, view_items,
    add_to_carts, checkouts, purchases, refunds, revenue_micros,
    coalesce(source, '(not set)') as source, coalesce(channel, '(not set)') as channel,
    coalesce(referrer_host, '(not set)') as referrer, coalesce(utm_source, '(not set)') as utm_source,
    coalesce(utm_medium, '(not set)') as utm_medium, coalesce(utm_campaign, '(not set)') as utm_campaign,
    coalesce(utm_content, '(not set)') as utm_content, coalesce(utm_term, '(not set)') as utm_term,
    coalesce(country, '(not set)') as country, coalesce(device, '(not set)') as device,
    coalesce(browser, '(not set)') as browser, coalesce(os, '(not set)') as os,
    coalesce(language, '(not set)') as language
  from origins o
  join (select * from totals where visit is not null) as v
    on v.site_id = o.site_id and v.visit = cast(o.ts as decimal(38, 0)) * cast('100000000000000000000' as decimal(38, 0)) + o.event_key
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
  site_id, local_day, quarter, '' as dimension, '' as value,
  cast(sum(events) as bigint) as events,
  cast(sum(pageviews) as bigint) as pageviews,
  cast(sum(visits) as bigint) as visits,
  cast(sum(engaged_visits) as bigint) as engaged_visits,
  cast(coalesce(sum(visit_ms), 0) as bigint) as visit_ms,
  cast(sum(view_items) as bigint) as view_items,
  cast(sum(add_to_carts) as bigint) as add_to_carts,
  cast(sum(checkouts) as bigint) as checkouts,
  cast(sum(purchases) as bigint) as purchases,
  cast(sum(refunds) as bigint) as refunds,
  cast(greatest(-9000000000000000000, least(9000000000000000000, coalesce(sum(revenue_micros), 0))) as bigint) as revenue_micros,
  cast(0 as bigint) as items,
  cast(0 as bigint) as exits,
  cast(sum(bots) as bigint) as bots,
  cast(coalesce(sum(rejected), 0) as bigint) as rejected,
  array_agg(cast(register as integer) order by register) filter (where register is not null) as sketch
from totals
where quarter is not null
group by site_id, local_day, quarter
union all
select
  site_id, local_day, null, dimension, value,
  cast(events as bigint), cast(pageviews as bigint), cast(visits as bigint), cast(engaged_visits as bigint),
  cast(coalesce(visit_ms, 0) as bigint), cast(view_items as bigint), cast(add_to_carts as bigint),
  cast(checkouts as bigint), cast(purchases as bigint), cast(refunds as bigint),
  cast(greatest(-9000000000000000000, least(9000000000000000000, coalesce(revenue_micros, 0))) as bigint),
  0, 0, 0, 0, null
from by_origin
union all
select
  site_id, local_day, null, dimension, value,
  events, pageviews, 0, 0, 0, view_items, add_to_carts, checkouts, purchases, refunds,
  cast(greatest(-9000000000000000000, least(9000000000000000000, coalesce(revenue_micros, 0))) as bigint),
  case when dimension = 'product' then cast(quantity as bigint) else 0 end,
  0, 0,
  case when dimension = 'rejection' then cast(quantity as bigint) else 0 end,
  null
from by_deed
where value is not null
union all
select
  site_id, local_day, null, dimension, value,
  0, 0, cast(sum(visits) as bigint), 0, 0, 0, 0, 0, 0, 0, 0, 0, cast(sum(exits) as bigint), 0, 0, null
from by_end
where value is not null
group by site_id, local_day, dimension, value
