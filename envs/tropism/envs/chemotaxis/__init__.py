"""Chemotaxis: a small animal on a grid smells food, hunger and harm; a ladder of levels, each adding one pressure."""
