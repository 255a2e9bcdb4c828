"""The only door to files, processes, the network and the clock. Nothing here decides."""
