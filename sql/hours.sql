-- What happened in one hour, by site, quarter and local day (dimension ''), and by site, local day and the values of
-- each dimension? Reads the hour and the hour before it, once, so that duplicates and visits need no state.
with stored as (
  select
    site_id, event_key, coalesce(product_id, '') as product, processed_at, name, ts, quarter, local_day, visitor,
    sketch_bucket, sketch_rank, path, referrer_host, source, channel,
    utm_source, utm_medium, utm_campaign, utm_content, utm_term, country, device, browser, os, language,
    value_micros, currency, revenue_micros, quantity, bot, rejected,
    -- Of this hour; the others are of the hour before, to look back on.
    dt = :dt and hr = :hr as this_hour
  from events
  where (dt = :dt and hr = :hr) or (dt = :dt_before and hr = :hr_before)
),
versions as (
  select
    *,
    max(case when this_hour then processed_at end) over same_event as last_processed_at,
    max(case when not this_hour then processed_at end) over same_event as last_processed_before,
    -- Whether the hour before has the event already; one that was refused there may come again.
    max(case when not this_hour and rejected is null then 1 else 0 end) over same_event as had_before,
    lag(product) over same_event as product_above,
    lag(this_hour) over same_event as this_hour_above
  from stored
  window same_event as (
    partition by site_id, event_key order by this_hour, processed_at desc, product
    rows between unbounded preceding and unbounded following
  )
),
-- One row per event, and per product of it, as it was processed last in its hour; none if the hour before had it.
deduplicated as (
  select
    *,
    case
      when rejected is not null then 'rejected'
      when bot then 'bot'
      when product <> '' then 'item'
      when visitor is null then 'event'
      else 'visit'
    end as kind
  from versions
  where (product_above is null or product_above <> product or this_hour_above <> this_hour)
    and case
      when this_hour then had_before = 0 and processed_at = last_processed_at
      else processed_at = last_processed_before
    end
),
-- A visitor's events in order. One hour of look-back is enough to know whether an event begins a visit, and whether
-- it is the second of one.
neighbours as (
  select
    *,
    lag(ts) over visitor_events as previous_ts,
    lag(path) over visitor_events as previous_path
  from deduplicated
  window visitor_events as (partition by site_id, kind, visitor order by ts, event_key)
),
marked as (
  select
    *,
    case when kind = 'visit' and (previous_ts is null or ts - previous_ts > :visit_gap_ms) then 1 else 0 end as begins
  from neighbours
),
visits as (
  select
    *,
    lag(begins) over visitor_events as previous_begins,
    -- The moment the visit began, which names it among the visitor's.
    max(case when begins = 1 then ts end) over visitor_events as visit_ts
  from marked
  window visitor_events as (
    partition by site_id, kind, visitor order by ts, event_key rows between unbounded preceding and current row
  )
),
-- What brought a visit is what its first event says; an event of no visit (visit_ts is null) speaks for itself.
attributed as (
  select
    site_id, local_day, quarter, kind, this_hour, begins, previous_begins, ts, previous_ts, path, previous_path,
    sketch_bucket, sketch_rank, product, value_micros, currency, revenue_micros, quantity, rejected,
    kind in ('visit', 'event') as is_event,
    -- What was done; an item's rows are named after their event.
    case when kind in ('visit', 'event') then name when kind = 'item' then substr(name, 1, length(name) - 5) end as action,
    case when visit_ts is null then source else first_value(source) over visit_until_here end as source,
    case when visit_ts is null then channel else first_value(channel) over visit_until_here end as channel,
    case when visit_ts is null then referrer_host else first_value(referrer_host) over visit_until_here end as referrer,
    case when visit_ts is null then utm_source else first_value(utm_source) over visit_until_here end as utm_source,
    case when visit_ts is null then utm_medium else first_value(utm_medium) over visit_until_here end as utm_medium,
    case when visit_ts is null then utm_campaign else first_value(utm_campaign) over visit_until_here end as utm_campaign,
    case when visit_ts is null then utm_content else first_value(utm_content) over visit_until_here end as utm_content,
    case when visit_ts is null then utm_term else first_value(utm_term) over visit_until_here end as utm_term,
    case when visit_ts is null then country else first_value(country) over visit_until_here end as country,
    case when visit_ts is null then device else first_value(device) over visit_until_here end as device,
    case when visit_ts is null then browser else first_value(browser) over visit_until_here end as browser,
    case when visit_ts is null then os else first_value(os) over visit_until_here end as os,
    case when visit_ts is null then language else first_value(language) over visit_until_here end as language,
    sum(case when name = 'page_view' then 1 else 0 end) over visit_until_here as visit_views
  from visits
  window visit_until_here as (
    partition by site_id, kind, visitor, visit_ts order by ts, event_key rows between unbounded preceding and current row
  )
),
-- This hour's rows: their numbers, and their value in each dimension, which is null where the row has no part in that
-- dimension and '(not set)' where it has one but the event did not tell.
facts as (
  select
    site_id, local_day, action, begins, value_micros, revenue_micros, rejected as rejection,
    case when kind = 'rejected' then quantity else 0 end as rejected,
    case when kind = 'bot' and product = '' then 1 else 0 end as bots,
    case when kind = 'item' then quantity else 0 end as items,
    case when begins = 0 and previous_begins = 1 then 1 else 0 end as engages,
    case when kind = 'visit' and begins = 0 then ts - previous_ts else 0 end as gap_ms,
    case when kind = 'visit' then sketch_bucket end as sketch_bucket,
    case when kind = 'visit' then sketch_rank end as sketch_rank,
    -- Items have no part in the hour's totals.
    case when kind <> 'item' then quarter end as quarter,
    case when is_event then coalesce(path, '(not set)') end as page,
    case when is_event then action end as event,
    case when kind = 'visit' and action = 'page_view' and visit_views = 1 then coalesce(path, '(not set)') end as entry_page,
    -- Every event is its visit's last until another follows: exits = events − followed, both known in their hour.
    case when kind = 'visit' then coalesce(path, '(not set)') end as last_page,
    case when kind = 'visit' and begins = 0 then coalesce(previous_path, '(not set)') end as followed_page,
    case when is_event then coalesce(source, '(not set)') end as source,
    case when is_event then coalesce(channel, '(not set)') end as channel,
    case when is_event then coalesce(referrer, '(not set)') end as referrer,
    case when is_event then coalesce(utm_source, '(not set)') end as utm_source,
    case when is_event then coalesce(utm_medium, '(not set)') end as utm_medium,
    case when is_event then coalesce(utm_campaign, '(not set)') end as utm_campaign,
    case when is_event then coalesce(utm_content, '(not set)') end as utm_content,
    case when is_event then coalesce(utm_term, '(not set)') end as utm_term,
    case when is_event then coalesce(country, '(not set)') end as country,
    case when is_event then coalesce(device, '(not set)') end as device,
    case when is_event then coalesce(browser, '(not set)') end as browser,
    case when is_event then coalesce(os, '(not set)') end as os,
    case when is_event then coalesce(language, '(not set)') end as language,
    case when kind = 'item' then product end as product,
    case when is_event and action in ('purchase', 'refund') then currency end as currency
  from attributed
  where this_hour
),
grouped as (
  select
    site_id, local_day, quarter,
    case
      when grouping(quarter) = 0 then ''
      when grouping(page) = 0 then 'page'
      when grouping(event) = 0 then 'event'
      when grouping(entry_page) = 0 then 'entry_page'
      when grouping(last_page) = 0 then 'exit_page'
      when grouping(followed_page) = 0 then 'exit_page'
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
      when grouping(product) = 0 then 'product'
      when grouping(currency) = 0 then 'currency'
      when grouping(rejection) = 0 then 'rejection'
    end as dimension,
    -- Exactly one of them is grouped by; the others are null.
    case when grouping(quarter) = 0 then '' else coalesce(
      page, event, entry_page, last_page, followed_page, source, channel, referrer, utm_source, utm_medium,
      utm_campaign, utm_content, utm_term, country, device, browser, os, language, product, currency, rejection
    ) end as value,
    grouping(sketch_bucket) = 0 as is_register,
    sketch_bucket * 64 + max(sketch_rank) as register,
    sum(case when event is not null then 1 else 0 end) as events,
    sum(case when action = 'page_view' then 1 else 0 end) as pageviews,
    case when grouping(entry_page) = 0 then count(*) else sum(begins) end as visits,
    sum(engages) as engaged_visits,
    sum(gap_ms) as visit_ms,
    sum(case when action = 'view_item' then 1 else 0 end) as view_items,
    sum(case when action = 'add_to_cart' then 1 else 0 end) as add_to_carts,
    sum(case when action = 'begin_checkout' then 1 else 0 end) as checkouts,
    sum(case when action = 'purchase' then 1 else 0 end) as purchases,
    sum(case when action = 'refund' then 1 else 0 end) as refunds,
    -- Wider than a bigint while they add up: one merchant's absurd values must not fail the hour for all.
    case
      when grouping(currency) = 0 then sum(cast(case when action = 'refund' then -abs(value_micros) else value_micros end as decimal(38, 0)))
      else sum(cast(case when action is not null then revenue_micros end as decimal(38, 0)))
    end as revenue_micros,
    sum(items) as items,
    case when grouping(last_page) = 0 then count(*) when grouping(followed_page) = 0 then -count(*) else 0 end as exits,
    sum(bots) as bots,
    sum(rejected) as rejected
  from facts
  group by grouping sets (
    (site_id, local_day, quarter), (site_id, local_day, quarter, sketch_bucket),
    (site_id, local_day, page), (site_id, local_day, event), (site_id, local_day, entry_page),
    (site_id, local_day, last_page), (site_id, local_day, followed_page), (site_id, local_day, source),
    (site_id, local_day, channel), (site_id, local_day, referrer), (site_id, local_day, utm_source),
    (site_id, local_day, utm_medium), (site_id, local_day, utm_campaign), (site_id, local_day, utm_content),
    (site_id, local_day, utm_term), (site_id, local_day, country), (site_id, local_day, device),
    (site_id, local_day, browser), (site_id, local_day, os), (site_id, local_day, language),
    (site_id, local_day, product), (site_id, local_day, currency), (site_id, local_day, rejection)
  )
)
select
  site_id, local_day, quarter, dimension, value,
  cast(sum(events) filter (where not is_register) as bigint) as events,
  cast(sum(pageviews) filter (where not is_register) as bigint) as pageviews,
  cast(sum(visits) filter (where not is_register) as bigint) as visits,
  cast(sum(engaged_visits) filter (where not is_register) as bigint) as engaged_visits,
  cast(sum(visit_ms) filter (where not is_register) as bigint) as visit_ms,
  cast(sum(view_items) filter (where not is_register) as bigint) as view_items,
  cast(sum(add_to_carts) filter (where not is_register) as bigint) as add_to_carts,
  cast(sum(checkouts) filter (where not is_register) as bigint) as checkouts,
  cast(sum(purchases) filter (where not is_register) as bigint) as purchases,
  cast(sum(refunds) filter (where not is_register) as bigint) as refunds,
  cast(greatest(-9000000000000000000, least(9000000000000000000,
    coalesce(sum(revenue_micros) filter (where not is_register), 0))) as bigint) as revenue_micros,
  cast(sum(items) filter (where not is_register) as bigint) as items,
  cast(sum(exits) filter (where not is_register) as bigint) as exits,
  cast(sum(bots) filter (where not is_register) as bigint) as bots,
  cast(sum(rejected) filter (where not is_register) as bigint) as rejected,
  array_agg(cast(register as integer) order by register) filter (where is_register) as sketch
from grouped
where value is not null and (dimension <> '' or quarter is not null) and (not is_register or register is not null)
group by site_id, local_day, quarter, dimension, value
