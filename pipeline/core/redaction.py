"""What must never be printed or logged."""

import re


def redacted(text: str) -> str:
    """Text without what may be secret: queries and users in addresses, tokens and signatures."""
    text = re.sub(r"(\w+://)[^\s/@\"']+@", r"\1", text)
    text = re.sub(r"(\w+://[^\s?\"'<>]+)\?[^\s\"'<>)]*", r"\1", text)
    text = re.sub(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}", r"\1 ***", text)
    return re.sub(r"(?i)\b(sig|token|key|api_key|access_token|password|secret)=[^\s&\"']+", r"\1=***", text)
