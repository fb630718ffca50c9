"""Genomes: flat vectors that evolution moves, and how they grow into the weights of a controller."""
