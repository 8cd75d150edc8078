"""What Earth Engine grants a month to projects that earn nothing with it, since 27 April 2026."""

TIERS = {"Community, the default": 150, "Contributor": 1_000, "Partner": 100_000}
"""EECU-hours a month of a project, by its tier."""
REQUEST_S = 1.0
"""EECU-seconds that a request for stored pixels is taken to need. Google names no figure. The one public
measurement that was found has 0.25 for 512 x 512 pixels of one band; requests here are larger."""


def in_words(requests: int) -> str:
    """What so many requests for stored pixels come to, beside what a month has."""
    hours = requests * REQUEST_S / 3600
    need = f"about {hours:,.1f} EECU-hours" if hours >= 0.1 else "less than 0.1 EECU-hours"
    return (
        f"{need} if a request needs {REQUEST_S:g} EECU-second (assumed; the Cloud console has what was "
        f"used), {of_a_month()}"
    )


def of_a_month() -> str:
    """The tiers, and what is beyond them."""
    *first, last = (f"{hours:,} ({tier})" for tier, hours in TIERS.items())
    return f"of {', '.join(first)} or {last} a month, beyond which fewer requests are answered at once"
