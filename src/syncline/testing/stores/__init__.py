"""The server's stores in memory, for tests that run its rules by the thousand; `server_store.MemoryStores` puts them together."""
