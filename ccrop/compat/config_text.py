"""The text of a run's config, laid out once.

MMEngine does it three times at the start of a run and again for each checkpoint, and yapf takes a quarter of a second.
"""

from typing import Any

from yapf.yapflib import yapf_api

KEPT = 4  # texts

_format_code = yapf_api.FormatCode
_formatted: dict[tuple[str, str], Any] = {}


def _format_once(code: str, **options: Any) -> Any:
    key = code, repr(options)
    if key not in _formatted:
        if len(_formatted) == KEPT:
            _formatted.clear()
        _formatted[key] = _format_code(code, **options)
    return _formatted[key]


def install_config_text() -> None:
    """Let MMEngine get the text that it got before for the same config."""
    yapf_api.FormatCode = _format_once
