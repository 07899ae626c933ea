"""Archives: many videos, resumable, on one machine or a Ray cluster."""

GPU_BATCH, LARGEST_SPAN = 8, 64
"""Pictures in an inference on a GPU; and frames, counted with those that the stride passes over, that wait for one."""
