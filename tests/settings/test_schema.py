from bookcast.settings import Settings, load


def test_production_starts_from_stricter_defaults() -> None:
    """Production expects Redis where compose puts it, and must be told to serve openly."""
    loaded = load({}, {"ENVIRONMENT": "production", "AUTH_MODE": "none"}, None)
    assert loaded.settings.redis_url == "redis://redis:6379"
    assert loaded.sources["redis_url"] == "the default in production"


def test_a_scheme_means_the_same_in_any_letters() -> None:
    """Only what others could share counts as a Redis."""
    assert Settings(redis_url="REDISS://User:Pass@Host").redis_url == "rediss://User:Pass@Host"
    assert Settings(redis_url="redis://host").shares_redis
    assert not Settings(redis_url="Memory://").shares_redis
    assert not Settings().shares_redis
