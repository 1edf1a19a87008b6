"""Language models as annotators: the service, the client with its cache and retries, and the ways of asking."""
