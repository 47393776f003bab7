"""The command line: one file per command. Talks to a running daemon over its HTTP API, or to files."""
