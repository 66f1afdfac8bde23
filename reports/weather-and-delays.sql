-- A flight meets the weather of its airport in the hour in which it should have left.
-- The worst that applies counts, so that each flight stands in one row.
with met as (
    select
        case
            when visib < 1 then 1
            when wind_speed >= 25 then 2
            when precip >= 0.1 then 3
            when visib < 5 then 4
            when precip > 0 then 5
            when wind_speed >= 15 then 6
            else 7
        end as rank,
        dep_time,
        dep_delay
    from flights
    join weather using (origin, time_hour)
    where flights.year = :year
      and flights.month between :first_month and :last_month
)
select
    case rank
        when 1 then 'Fog: sight below 1 mile'
        when 2 then 'Storm: wind of 25 mph or more'
        when 3 then 'Heavy rain: 0.1 inches an hour'
        when 4 then 'Haze: sight below 5 miles'
        when 5 then 'Light rain'
        when 6 then 'Windy: 15 mph or more'
        else 'Fair'
    end as weather,
    count(*) as flights,
    count(*) / sum(count(*)) over () as flights_share,
    avg(dep_delay) as mean_delay,
    avg(cast(dep_delay >= 60 as int)) as an_hour_late,
    avg(cast(dep_time is null as int)) as cancelled_share
from met
group by rank
order by rank
