"""Runs of Snakemake on this machine and on SLURM: signals, what is to do, what was done."""
