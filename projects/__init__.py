"""Projects built on the library."""
