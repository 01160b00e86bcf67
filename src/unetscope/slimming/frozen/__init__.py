"""Frozen rules, one file each."""
