"""Public annotated image sets: what there is, how it is downloaded, and how it becomes a dataset folder."""
