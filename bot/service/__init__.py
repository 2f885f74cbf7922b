"""Rules of the service desk: calendars, promises, categories, routing, value, care. Pure, like the rest of `bot`."""
