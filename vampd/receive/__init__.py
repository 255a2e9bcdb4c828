"""The receiving end: verifies what is delivered, and moves it on to where it belongs."""
