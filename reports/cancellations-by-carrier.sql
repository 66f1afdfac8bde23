select
    airlines.name as airline,
    count(*) as flights,
    count(*) filter (dep_time is null) as cancelled,
    avg(cast(dep_time is null as int)) as share
from flights
join airlines using (carrier)
where year = :year
group by airlines.name
order by share desc, airline
