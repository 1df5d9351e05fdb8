"""`asktell doctor`: what is right, doubtful and wrong on this machine."""
