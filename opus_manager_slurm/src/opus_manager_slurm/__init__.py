"""Run jobs on a SLURM cluster."""
