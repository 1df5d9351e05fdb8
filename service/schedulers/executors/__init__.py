"""The ways to launch an attempt, one package each."""
