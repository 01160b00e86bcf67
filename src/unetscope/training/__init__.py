"""Training: the recipe, patches and their augmentation, the loss, and the loop that can be stopped and resumed."""
