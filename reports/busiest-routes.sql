-- Some airports of the Caribbean are not in the list of airports: their code stands in.
select
    row_number() over (order by count(*) desc, origin, dest) as place,
    origin,
    dest,
    coalesce(any_value(airports.name), dest) as destination,
    count(*) as flights,
    count(distinct carrier) as carriers,
    any_value(distance) as miles,
    round(avg(air_time), 1) as mean_air_time,
    round(avg(arr_delay), 1) as mean_delay
from flights
left join airports on airports.faa = flights.dest
where year = :year
group by origin, dest
order by place
limit :top
