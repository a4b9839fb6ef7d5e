"""When the clock says so: a schedule per line of the timetable (``affiliate_empire.planning.timetable``).

A tick whose inputs are not there runs nothing; ``sensors.stages_overdue`` tries the stage again.
"""
