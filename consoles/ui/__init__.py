"""What all pages of the console are made of: a page family declares, and what is here does the work."""
