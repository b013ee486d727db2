"""From a view's frames to the bytes on one socket."""
