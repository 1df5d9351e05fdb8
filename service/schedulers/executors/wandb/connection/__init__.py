"""The way to W&B: a process that has wandb, and how often it is asked."""
