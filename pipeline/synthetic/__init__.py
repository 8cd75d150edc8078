"""The synthetic archive: a Sentinel-2 like world whose truth is known.

`noise` is the raw material; `mine` grows and reclaims footprints; `ground` is the land of a year;
`spectra` gives it reflectance on a day; `weather` covers it; `archive` writes what a satellite
would have seen as COGs in a static STAC catalog. Everything is a function of place, date and seed,
so granules agree where they overlap and adding a mine changes nothing elsewhere.
"""
