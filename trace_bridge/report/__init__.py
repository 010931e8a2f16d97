"""What people see of a run: the live view, the summary, the diff."""
