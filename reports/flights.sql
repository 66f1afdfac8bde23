-- Columns are named, so that a new one in the table does not shift the sheet;
-- rowid is the order in which the flights were recorded.
select
    year, month, day,
    dep_time, sched_dep_time, dep_delay,
    arr_time, sched_arr_time, arr_delay,
    carrier, flight, tailnum, origin, dest,
    air_time, distance, hour, minute, time_hour
from flights
order by rowid
