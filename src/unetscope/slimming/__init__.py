"""Smaller networks: proposed from profiles, made, compared with their originals, and found by a race."""
