"""A synthetic street scene, drawn from scratch, with exact boxes for every object in it."""
