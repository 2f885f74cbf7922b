"""Broadcasts: rules that decide who is meant, what is said, when it leaves and whether it helped. Pure."""
