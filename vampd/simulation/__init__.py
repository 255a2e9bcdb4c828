"""Writes nights as the cameras do: for the demonstration, for training and for tests.

scenes -> exposures -> night -> camera: what is observed, when each camera sees it,
which files that makes, and how those files come into being on the disk.
"""
