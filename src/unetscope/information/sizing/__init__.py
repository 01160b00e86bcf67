"""What annotated images alone say about the network they need: its depth, its width, and more annotations."""
