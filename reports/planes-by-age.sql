-- Age in full years. Planes whose year of manufacture is not known stand last, with
-- an empty age.
with flown as (
    select tailnum, count(*) as flights, cast(sum(distance) as bigint) as miles
    from flights
    where year = :year and air_time is not null
    group by tailnum
)
select
    :year - planes.year as age,
    count(*) as planes,
    count(distinct manufacturer) as manufacturers,
    round(avg(seats), 1) as mean_seats,
    cast(sum(flights) as bigint) as flights,
    cast(sum(miles) as bigint) as miles,
    round(sum(flights) / count(*), 1) as flights_a_plane
from planes
join flown using (tailnum)
group by age
order by age nulls last
