"""The owner's reports as self-contained HTML: frames in, one string out; ``operations`` writes and sends them.

Every number's table carries the label of its world (SIMULATED or LIVE). Whatever came from outside is escaped.
"""

from affiliate_empire.reporting.daily import DailyReport, render_daily

__all__ = ["DailyReport", "render_daily"]
