"""Experiments on prompt versions: which of two is better, by a test that may be looked at every day.

Pure: frames in, a result out. Who publishes with which version is planning's, what is done with a result the
optimization's and the owner's.
"""

from affiliate_empire.experiments.frames import ExperimentResults
from affiliate_empire.experiments.sequential import ABResult, sequential_ab

__all__ = ["ABResult", "ExperimentResults", "sequential_ab"]
