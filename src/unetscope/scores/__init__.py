"""How well a prediction matches the truth; knows arrays and names, neither files nor networks nor torch."""
