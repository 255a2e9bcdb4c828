"""What people order, and the sockets on which they do."""
