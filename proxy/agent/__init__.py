"""The node agent: brings configuration and identities to the node, probes targets, tells how it is."""
