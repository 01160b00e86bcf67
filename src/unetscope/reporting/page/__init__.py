"""One self-contained page that shows a network, its data and its results; gathers and draws, measures nothing."""
