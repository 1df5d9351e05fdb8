"""What runs of W&B are, wherever they run."""
