"""Answers of HTTP, read from a socket."""

import socket


def read_bodies(connection: socket.socket, n: int, head: bytes = b"HTTP/1.1 200 OK") -> list[bytes]:
    """Return the bodies of the next n answers, each of which begins with `head`, and after which nothing follows."""
    bodies, received = [], b""
    while len(bodies) < n:
        part = connection.recv(65536)
        assert part, "the connection ended"
        received += part
        while b"\r\n\r\n" in received:
            lines, _, rest = received.partition(b"\r\n\r\n")
            assert lines.startswith(head)
            length = int(lines.partition(b"content-length: ")[2].split()[0])
            if len(rest) < length:
                break
            bodies.append(rest[:length])
            received = rest[length:]
    assert not received
    return bodies
