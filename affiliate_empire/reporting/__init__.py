"""The owner's reports as self-contained HTML: frames in, one string out; ``operations`` writes and sends them.

Every number's table carries the label of its world (SIMULATED or LIVE). Whatever came from outside is escaped.
"""

from affiliate_empire.reporting.daily import DailyReport, render_daily
from affiliate_empire.reporting.weekly import WeeklyReport, render_weekly

__all__ = ["DailyReport", "WeeklyReport", "render_daily", "render_weekly"]
