from bookcast.settings import load


def test_production_starts_from_stricter_defaults() -> None:
    """Production expects Redis where compose puts it, and must be told to serve openly."""
    loaded = load({}, {"ENVIRONMENT": "production", "AUTH_MODE": "none"}, None)
    assert loaded.settings.redis_url == "redis://redis:6379"
    assert loaded.sources["redis_url"] == "the default in production"
