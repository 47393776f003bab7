"""Stores: one port, three implementations (memory, SQLite, PostgreSQL) under one contract suite."""
