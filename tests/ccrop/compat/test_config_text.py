"""A config's text is laid out once, and again when the config changes."""

import pytest
from mmengine.config import Config
from yapf.yapflib import yapf_api

from ccrop.compat import config_text


def test_an_unchanged_config_is_formatted_once(monkeypatch: pytest.MonkeyPatch):
    calls = []
    plain = config_text._format_code
    monkeypatch.setattr(
        config_text, "_format_code", lambda *args, **kwargs: calls.append(args) or plain(*args, **kwargs)
    )
    monkeypatch.setattr(config_text, "_formatted", {})
    monkeypatch.setattr(yapf_api, "FormatCode", plain)
    config = Config(dict(model=dict(type="SimSiam", widths=[64] * 40), lr=0.1))
    expected = config.pretty_text
    config_text.install_config_text()
    assert [config.pretty_text for _ in range(3)] == [expected] * 3
    assert len(calls) == 1
    config.lr = 0.2
    assert config.pretty_text == expected.replace("0.1", "0.2")
    assert len(calls) == 2
