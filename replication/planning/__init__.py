"""What a run will take, before it is run: work counted from its config, priced at rates that were measured on another run."""
