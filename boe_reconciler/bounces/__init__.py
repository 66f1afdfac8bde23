"""Where news of mails arrives: each module is one `core.ports.Mailbox`."""
