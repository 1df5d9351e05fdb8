"""Launches attempts as local processes, each below a supervisor that outlives the worker."""
