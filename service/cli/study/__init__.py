"""`asktell study`: studies, their trials, and what people do with both."""
