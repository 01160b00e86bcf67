"""Results drawn for people; draws what was measured and measures nothing."""
