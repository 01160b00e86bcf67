"""Phantoms whose information is known, and whether the estimators find it; knows no image of a user."""
