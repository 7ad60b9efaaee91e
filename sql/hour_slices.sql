-- Where does each slice of about so many rows begin, of the sites of an hour and the hour before it? One row a slice, in any
-- order: an hour of very many events is counted by several queries, since what they sort has to fit into memory. A slice
-- begins with the first site behind a multiple of the rows, and ends with the one that reaches the next.
select min(site_id) as site_id
from (
  select
    site_id,
    coalesce(sum(site_rows) over (order by site_id rows between unbounded preceding and 1 preceding), 0) as rows_before
  from (
    select site_id, count(*) as site_rows
    from events e
    where ((e.dt = :dt and e.hr = :hr) or (e.dt = :dt_before and e.hr = :hr_before))
    group by site_id
  ) as counted
) as placed
group by rows_before - mod(rows_before, :slice_rows)
