"""What a job does while it runs: fingerprint, record, warm start."""
