"""The plugin ``council``: System 1, System 2 and a gate between them; see the README of the distribution."""
