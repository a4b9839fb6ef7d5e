"""The command ``empire``: starts our processes, asks the ledger, shows answers.

It runs Dagster by starting processes (``runner.py``, ``dagster dev``) and imports neither. Errors a person can mend are
one sentence on standard error and exit code 1; a defect shows its traceback.
"""

from affiliate_empire.cli.main import main

__all__ = ["main"]
