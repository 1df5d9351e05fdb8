"""`asktell sweep`: the commands in this process, against the application on a port of it."""
