"""The published estimator (Lee & Bajic 2021), reproduced with its controls; advice never rests on it."""
