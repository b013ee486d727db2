"""A feed of your own: a folder to copy. docs/feeds.md has the steps."""
