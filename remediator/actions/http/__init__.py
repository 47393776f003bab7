"""`http.request`: JSON sent to an endpoint of the configuration."""
