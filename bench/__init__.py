"""`make bench`: what Frontdesk costs, measured beside what one would otherwise use, in one run on one machine."""
