"""Values drawn from the claims of several annotators, each with a posterior."""
