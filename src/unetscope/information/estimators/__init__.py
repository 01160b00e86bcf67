"""Estimators of information; they know samples, not networks."""
