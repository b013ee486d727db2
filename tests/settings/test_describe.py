from tests.support import ROOT


def test_every_setting_is_documented() -> None:
    """The table in docs/settings.md is the one that the declarations make."""
    from scripts.settings_table import table

    assert table() in (ROOT / "docs" / "settings.md").read_text()
