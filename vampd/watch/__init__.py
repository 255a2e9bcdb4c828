"""What is in the night folders: events are hints, the scan is the truth."""
