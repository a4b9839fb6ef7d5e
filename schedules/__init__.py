"""When the clock says so. Nothing ticks yet: a day is driven by ``runner.py`` or by hand in the UI."""
