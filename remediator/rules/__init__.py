"""Rules: TOML to specification to compiled index. Pure: no clock, no I/O besides reading the files it is told to."""
