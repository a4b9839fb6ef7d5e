"""The words everyone uses: money, time, ids, errors. Imports nothing of the project."""
