"""`asktell study import`: finished trials of other systems, read here and posted to a server."""
