"""Client of the Asktell service."""
