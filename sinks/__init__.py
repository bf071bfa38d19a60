"""Where events go: every module here without a leading underscore, but the registry, is a kind of sink."""
