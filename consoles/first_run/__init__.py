"""The first run: from nothing to an Api in the portal in five steps, and demo traffic to look at."""
