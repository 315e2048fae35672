"""Where figures and traces go: Prometheus asks for the ones, a collector is sent the others."""
