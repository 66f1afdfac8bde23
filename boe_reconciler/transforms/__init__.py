"""Work in child processes: they can be killed, hold no secret and write to one folder."""
