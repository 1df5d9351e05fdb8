"""Tests of the service, its SDK and what both launch."""

import os

# Read when numpy is first imported, here and in what tests start. Many of these run side by side,
# and threads of BLAS spin while they wait for each other: a training takes three times the CPU.
os.environ["OMP_NUM_THREADS"] = "1"
