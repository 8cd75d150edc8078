"""`minebench doctor`: does a catalogue work from where I am?

`known_catalogues` holds, as data, what is known of each catalogue. A check is a small function of a `visit`,
which queries the catalogue through the pipeline's own sources. `lines` lists the checks of a catalogue,
`examine` runs them one after the other within time limits, and `printed` formats the table.
"""
