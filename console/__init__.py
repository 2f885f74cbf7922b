"""The staff console: view models in plain Python, and what they draw."""
