"""The demo: a small shop of three services behind the gateway. Plain Python, knows nothing of the gateway."""
