"""What is built on the library."""
