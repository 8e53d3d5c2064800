"""Measuring beside peers: `make bench` times our steps and those of SAELens, dictionary_learning and TransformerLens in turn."""
