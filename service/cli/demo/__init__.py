"""`asktell demo`: a sweep on this machine, from the service to the best trials."""
