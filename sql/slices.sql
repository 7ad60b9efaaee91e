-- Where does each slice of so many sites begin, of those that changed on a local day? One row a slice, in any order: a
-- day of very many sites is made of several queries, since what they aggregate has to fit into memory.
select site_id
from (
  select site_id, row_number() over (order by site_id) as place
  from (select distinct site_id from changes where run in (:changed_runs) and local_day = :day) as changed
) as placed
where mod(place - 1, :sites) = 0
