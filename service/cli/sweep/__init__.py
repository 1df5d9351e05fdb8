"""`asktell sweep`: its commands, and what they show."""
