"""The recipe of the embedded detector: network, assignment, data, training, evaluation and export."""
