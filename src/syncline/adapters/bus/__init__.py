"""`ports.bus.Bus` in this process, over NATS JetStream and over Kafka."""
