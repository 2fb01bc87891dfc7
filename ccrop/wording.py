"""Words in messages and pages."""


def counted(number: int, noun: str) -> str:
    """``1 image``, ``2 images``, ``1,234 processes``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}{'es' if noun.endswith(('s', 'x')) else 's'}"
