"""The staff's screens: pages over the services of the desk; nothing here decides what may be done."""
