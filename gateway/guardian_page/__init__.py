"""The page on which a guardian, or a child of 14 or above, answers what an officer asks: one code, one answer, no account."""
