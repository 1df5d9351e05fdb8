"""The worker, which launches attempts of sweeps, and its executors."""
