"""When something happens. Nothing ticks yet: a day is driven by ``runner.py`` or by hand in the UI."""
