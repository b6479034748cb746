"""For authors of plugins: generated pages, the JSON Schema, the public API, new packages."""
