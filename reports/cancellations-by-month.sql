select
    monthname(make_date(:year, month, 1)) as month,
    count(*) as flights,
    count(*) filter (dep_time is null) as cancelled,
    avg(cast(dep_time is null as int)) as share
from flights
where year = :year
group by flights.month
order by flights.month
