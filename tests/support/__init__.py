"""Helpers that several test suites share. Nothing here is a fixture of the package itself."""
