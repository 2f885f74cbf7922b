"""Files: checked, stored behind one port, found again through signed links, and deleted when their time is over."""
