"""The workflow on a Slurm of one node. Run by `make test-cluster`."""
