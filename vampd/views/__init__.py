"""Read models: what screens, mails and metrics are made of."""
