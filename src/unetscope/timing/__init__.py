"""Milliseconds and memory of a network on this machine, foretold from its spec after a short calibration."""
