"""The picture that the kitchen paints."""

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(200))
