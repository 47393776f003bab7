"""A stand-in for Airflow 3.3.2: its REST API over per-attempt state, a virtual scheduler, and faults on demand."""
