"""Model cards and the embedded detector."""
