"""What goes on beside the stages of a night, one of each kind at a time."""
