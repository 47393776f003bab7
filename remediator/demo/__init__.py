"""The demo: a simulated fleet whose schedulers answer like Airflow."""
