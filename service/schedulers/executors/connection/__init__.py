"""Calls to an outside system, by a process that has its package, no more than it bears."""
