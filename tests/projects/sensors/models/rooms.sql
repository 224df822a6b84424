SELECT sensor, upper(room[1]) || room[2:] AS name FROM {{ ref("places") }}
