"""What happened and what it earned: conversion events, their current state, attribution, the metrics' definitions.

Pure functions over frames and plain mappings. Fetching lies in ``vendors``, storing in ``operations``.
"""
