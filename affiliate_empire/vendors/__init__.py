"""One module per API: a client that does not know whether it talks to the vendor or to the sandbox world."""
