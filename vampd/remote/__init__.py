"""What is copied to the other machine. It imports nothing of vampd, and is imported by nothing."""
