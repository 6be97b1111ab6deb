"""A run is disturbed in every way that a machine and its people know, a thousand times: `make soak`."""
