"""Between the processes of one server: gRPC (grpc.aio) as `ports.carrier.Carrier`, and what answers it."""
