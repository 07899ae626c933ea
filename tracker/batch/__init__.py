"""Archives: many videos, resumable, on one machine or a Ray cluster."""
