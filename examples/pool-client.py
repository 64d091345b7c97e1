#!/usr/bin/env python3
"""A client of pool-socket.mjs: each argument is sent as a request of its own, each reply is printed.

    node examples/pool-socket.mjs serve &
    python3 examples/pool-client.py PORT TEXT...
"""
import socket
import struct
import sys


def receive_exactly(connection, size):
    data = b""
    while len(data) < size:
        chunk = connection.recv(size - len(data))
        if not chunk:
            raise EOFError("the pool closed the connection without a whole reply")
        data += chunk
    return data


def request(port, body):
    """One request per connection: a frame there, a frame back."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(struct.pack(">I", len(body)) + body)
        (size,) = struct.unpack(">I", receive_exactly(connection, 4))
        return receive_exactly(connection, size)


def main():
    if len(sys.argv) < 3:
        sys.exit("usage: pool-client.py PORT TEXT...")
    for text in sys.argv[2:]:
        print(request(int(sys.argv[1]), text.encode()).decode())


if __name__ == "__main__":
    main()
