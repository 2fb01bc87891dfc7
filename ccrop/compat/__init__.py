"""Everything that exists only because of a dependency's quirk, each with its reason."""
