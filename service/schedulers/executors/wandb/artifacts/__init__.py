"""Files in artifacts of W&B, for whoever reads a sweep file that names one."""
