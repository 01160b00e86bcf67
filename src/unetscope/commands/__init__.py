"""The commands, a module for each kind of work; turn words into calls and results into words, compute nothing."""
