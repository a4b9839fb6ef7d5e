{# A ratio to six places; null where the whole is not above zero. Sums stay exact: only the ratio is a double. #}
{% macro ratio(part, whole) -%}
case when {{ whole }} > 0 then round(cast({{ part }} as double) / cast({{ whole }} as double), 6) end
{%- endmacro %}
