"""`minebench doctor`: does a catalogue work from where I am?

What is known of each catalogue is data (`known_catalogues`). A check is a small function of a `visit`, which
asks through the product's own sources; `lines` puts checks together, `examine` runs them one after the other
within bounds of time, and `printed` makes the table.
"""
