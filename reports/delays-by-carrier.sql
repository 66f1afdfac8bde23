-- Delay is delay on arrival. A flight is on time if it is less than 15 minutes late,
-- and cancelled if it never left.
select
    carrier,
    airlines.name as airline,
    count(*) as flights,
    count(*) filter (dep_time is null) as cancelled,
    avg(cast(dep_time is null as int)) as cancelled_share,
    avg(cast(arr_delay < 15 as int)) as on_time_share,
    avg(arr_delay) as mean_delay,
    median(arr_delay) as median_delay,
    quantile_cont(arr_delay, 0.9) as p90_delay
from flights
join airlines using (carrier)
where year = :year and month between :first_month and :last_month
group by carrier, airlines.name
order by flights desc, carrier
