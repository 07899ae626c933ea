"""Many cameras in one process, for months: one never harms another."""
