"""What all environments share: hash RNG, the three faces of an environment, wrappers, conformance."""
