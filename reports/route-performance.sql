select
    make_date(year, month, 1) as month,
    origin,
    dest,
    carrier,
    count(*) as flights,
    count(*) filter (dep_time is null) as cancelled,
    count(*) filter (dep_time is not null and air_time is null) as diverted,
    count(*) filter (arr_delay < 15) as on_time,
    avg(dep_delay) as mean_dep_delay,
    avg(arr_delay) as mean_arr_delay,
    stddev_samp(arr_delay) as arr_delay_deviation,
    avg(air_time) as mean_air_time,
    any_value(distance) as miles
from flights
where year = :year
group by year, flights.month, origin, dest, carrier
order by year, flights.month, origin, dest, carrier
