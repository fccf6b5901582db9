"""The names of libraries that people come from, over farcall; one module for each."""
