"""What a run needs before it starts: check, plan, cost model, SLURM."""
