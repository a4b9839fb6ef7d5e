{# One asset of the lake: the Parquet files that the run handed in for it (`var('lake')`: asset → paths). #}
{% macro lake(asset) %}
{%- set relation = source('lake', asset) -%}
{%- if execute and var('lake', none) -%}
read_parquet(['{{ var('lake')[asset] | join("', '") }}'], union_by_name = true)
{%- else -%}
{{ relation }}
{%- endif -%}
{% endmacro %}

{# True for the days that this run restates. #}
{% macro in_range(day) -%}
{{ day }} between date '{{ var("first_day", "0001-01-01") }}' and date '{{ var("last_day", "9999-12-31") }}'
{%- endmacro %}

{# True for what happened while a day's books are open: on that day, or so many days later. Rows are cut by this and not by
   the files that a run happens to read, so that a day comes out the same alone and among others. #}
{% macro while_open(happened, day) -%}
{{ happened }} between {{ day }} and {{ day }} + {{ var("restated_days") }}
{%- endmacro %}

{# The same, for what may have happened before the day as well: a cost. #}
{% macro near(happened, day) -%}
{{ happened }} between {{ day }} - {{ var("restated_days") }} and {{ day }} + {{ var("restated_days") }}
{%- endmacro %}
