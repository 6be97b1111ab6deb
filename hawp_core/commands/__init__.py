"""The subcommands of `hawp`: each module describes its options in `configure` and carries them out in `run`."""
