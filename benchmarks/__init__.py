"""What the README claims can be run again here. Ratios in one session on one machine, medians of several runs."""
