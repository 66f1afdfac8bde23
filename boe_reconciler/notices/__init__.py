"""Words to somebody outside about how it goes: pings, systemd."""
