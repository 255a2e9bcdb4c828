"""What can be set, how a value is read, how the file is loaded."""
