import pytest

from bookcast.errors import SettingError
from bookcast.settings import load


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"FEED": "custom"}, "FEED is custom (from the environment); FEED_FACTORY=package.module:"),
        ({"FEED": "custom", "FEED_FACTORY": "my_feed"}, "write package.module:function"),
        ({"FEED": "custom", "FEED_FACTORY": "my-feed:make"}, "write package.module:function"),
        ({"FEED": "custom", "FEED_FACTORY": "a:b c"}, "write package.module:function"),
        ({"FEED_FACTORY": "my_feed:make"}, "only with FEED=custom; FEED is none"),
        ({"FEED": "futu", "FEED_FACTORY": "a:b"}, "FEED is futu (from the environment)"),
        ({"FEED_OPTIONS": "rate=5"}, "which only FEED=custom takes; FEED is none"),
        ({"FEED": "custom", "FEED_FACTORY": "a:b", "FEED_OPTIONS": "rate"}, "isn't name=value"),
        ({"FEED": "custom", "FEED_FACTORY": "a:b", "FEED_OPTIONS": "=5"}, "isn't name=value"),
        ({"FEED": "custom", "FEED_FACTORY": "a:b", "FEED_OPTIONS": "x=1,x=2"}, "x is there twice"),
    ],
)
def test_a_feed_needs_a_function_and_options_with_names(
    environ: dict[str, str], sentence: str
) -> None:
    """The sentence names the setting and where its value came from."""
    with pytest.raises(SettingError) as caught:
        load({}, environ, None)
    assert sentence in str(caught.value)


def test_a_feed_of_ones_own_is_taken_as_it_is_written() -> None:
    """A class and a method of a class are functions as well."""
    environ = {"FEED": "Custom", "FEED_FACTORY": "a.b:C.make", "FEED_OPTIONS": "x=1,y="}
    settings = load({}, environ, None).settings
    assert settings.feed == "custom"
    assert settings.feed_options == ("x=1", "y=")
