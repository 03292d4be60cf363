"""Live views: what the console shows while it happens, over WebSockets, from the files of the node directory."""
