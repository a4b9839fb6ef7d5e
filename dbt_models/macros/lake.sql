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
