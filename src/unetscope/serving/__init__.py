"""Trained networks live in a browser: what computes for one page on this machine, and the server that shows it."""
