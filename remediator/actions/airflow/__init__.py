"""Airflow's REST API v2: a bounded client, and the executors that look, sweep and retry with it."""
