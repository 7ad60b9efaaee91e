-- Which local days of which sites differ between a run of an hour and the run committed before it? Days of runs that
-- died before their commit count too: their items may have been written. And all days of runs that are to be taken whole.
select site_id, local_day from (
  (select
    site_id, local_day, quarter, dimension, value, events, pageviews, visits, engaged_visits, visit_ms, view_items,
    add_to_carts, checkouts, purchases, refunds, revenue_micros, items, exits, bots, rejected, long_visit_events,
    sketch
  from hours where run = :run
  except
  select
    site_id, local_day, quarter, dimension, value, events, pageviews, visits, engaged_visits, visit_ms, view_items,
    add_to_carts, checkouts, purchases, refunds, revenue_micros, items, exits, bots, rejected, long_visit_events,
    sketch
  from hours where run in (:committed))
  union all
  (select
    site_id, local_day, quarter, dimension, value, events, pageviews, visits, engaged_visits, visit_ms, view_items,
    add_to_carts, checkouts, purchases, refunds, revenue_micros, items, exits, bots, rejected, long_visit_events,
    sketch
  from hours where run in (:committed)
  except
  select
    site_id, local_day, quarter, dimension, value, events, pageviews, visits, engaged_visits, visit_ms, view_items,
    add_to_carts, checkouts, purchases, refunds, revenue_micros, items, exits, bots, rejected, long_visit_events,
    sketch
  from hours where run = :run)
)
union
select site_id, local_day from changes where run in (:pending)
union
select site_id, local_day from hours where run in (:whole)
