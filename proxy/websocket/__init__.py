"""WebSocket (RFC 6455) without sockets: the handshake, the frames, the relay between two sides."""
