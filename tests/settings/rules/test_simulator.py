import pytest

from bookcast.errors import SettingError
from bookcast.settings import load


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"SIMULATOR_SYMBOLS": "0"}, "from 1 to 100000"),
        ({"SIMULATOR_SYMBOLS": "-1"}, "from 1 to 100000"),
        ({"SIMULATOR_SYMBOLS": "1.5"}, "from 1 to 100000"),
        ({"SIMULATOR_SYMBOLS": ","}, "name at least one symbol"),
        ({"SIMULATOR_SYMBOLS": "US."}, "names a market but no code"),
    ],
)
def test_what_the_simulator_cannot_make_is_refused(environ: dict[str, str], sentence: str) -> None:
    """Symbols are written as everywhere."""
    with pytest.raises(SettingError) as caught:
        load({}, environ, None)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
