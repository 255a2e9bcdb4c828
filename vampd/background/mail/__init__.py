"""Mail to the archive, alerts, and the watchdog that runs without the daemon."""
