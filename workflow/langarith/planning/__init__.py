"""What a study will compute and store, before it runs: cost model, speed, disk, plan."""
