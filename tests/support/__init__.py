"""What several tiers of tests share: the finished demo, and the reading of what was recorded while it ran."""
