"""Every performance figure of the project, each one a command: `python -m benchmarks.NAME [--quick]`."""
