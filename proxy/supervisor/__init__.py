"""The supervisor: listening sockets, worker slots, child processes and signals. It proxies no traffic."""
