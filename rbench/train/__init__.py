"""One cell in its process: its data and batches, its steps, the clock, evaluations and memory."""
