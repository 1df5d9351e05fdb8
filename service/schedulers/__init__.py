"""The server's loops, the worker and its executors. Nothing launches trials yet."""
