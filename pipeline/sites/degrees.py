"""Degrees as people write them: decimal, with minutes and seconds, with the side of the globe."""

import re

SIDES = {"lon": {"E": 1, "W": -1}, "lat": {"N": 1, "S": -1}}
NUMBER = r"(\d+(?:[.,]\d+)?)(?![\d.,])"
MINUS = "-\u2212"
FORM = re.compile(
    rf"(?P<before>[NSEW])?\s*(?P<sign>[{MINUS}+])?\s*{NUMBER}\s*(?P<mark>[°º˚:])?\s*"
    rf"(?:{NUMBER}\s*['′’ʹ:]?\s*)?(?:{NUMBER}\s*(?:[\"″”ʺ]|''|′′|’’)?\s*)?(?P<after>[NSEW])?",
    re.IGNORECASE,
)
LETTERS = re.compile(r"(\d)\s*d(?:eg)?\s*(\d+)\s*m(?:in)?(?:\s*(\d+(?:[.,]\d+)?)\s*s(?:ec)?)?", re.IGNORECASE)
"""Marks as letters, of which an s behind anything else would be the South."""
"""51.5, 51.5° N, N 51°30.5', 51°30'26.5\"N, -14:30:00, 51d30m26s."""
SIDE_O = re.compile(r"o\s*(?=\d)|(?<=[\d\s°º˚'\"′’ʹ″”ʺ])o", re.IGNORECASE)
AMBIGUOUS = (
    " O is the east in German and Dutch (Ost, oost), and the west in French, Italian, Portuguese and Spanish "
    "(ouest, ovest, oeste): write E or W."
)


def parse(text: str, axis: str) -> float | None:
    """Return degrees along `axis` (`lon` or `lat`), None for what is unclear.

    Unclear are minutes or seconds of 60 and more, a fraction that is not the last number, a side of the other
    axis, a sign and a side, and several numbers without a mark of degrees or a side.
    """
    marked = LETTERS.sub(lambda m: f"{m[1]}°{m[2]}'" + (f'{m[3]}"' if m[3] else ""), text.strip())
    found = FORM.fullmatch(marked)
    if found is None:
        return None
    whole, minutes, seconds = found.group(3, 5, 6)
    if minutes is None and seconds is not None:
        return None
    written = [number for number in (whole, minutes, seconds) if number is not None]
    parts = [float(number.replace(",", ".")) for number in written]
    side = f"{found['before'] or ''}{found['after'] or ''}".upper()
    is_clear = len(parts) == 1 or found["mark"] or side
    is_whole = all(number.isdigit() for number in written[:-1])
    if not (is_clear and is_whole) or any(part >= 60 for part in parts[1:]):
        return None
    if side and (found["sign"] or side not in SIDES[axis]):
        return None
    turned = -1 if found["sign"] and found["sign"] in MINUS else SIDES[axis].get(side, 1)
    return turned * sum(part / 60**i for i, part in enumerate(parts))


def is_ambiguous(text: str) -> bool:
    """Whether degrees would be clear if the O beside them were an E or a W."""
    side = SIDE_O.sub("E", text.strip(), count=1)
    return side != text.strip() and parse(side, "lon") is not None
