"""What staff may do, with permission checks; screens, the API and the command line sit on it."""
