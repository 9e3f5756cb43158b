#!/usr/bin/env python3
"""A link between two nodes on one machine that can be cut.

usage: scripts/link.py PORT HOST:PORT

Carries every TCP connection that is made to 127.0.0.1:PORT on to HOST:PORT. A node whose --peers name another by PORT
reaches it through here only. Ctrl-C cuts the link: what is open breaks, and nothing new gets through. Started again, it
is healed. Ctrl-Z makes it fall silent instead (nothing breaks and nothing arrives), until fg.
"""

import asyncio
import sys

CHUNK_BYTES = 64 << 10


async def copy(reader, writer):
    """Until either end is gone; then both are."""
    try:
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # reset by one of the two
    finally:
        writer.close()


async def carry(port, host, host_port):
    async def on_connection(reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection(host, host_port)
        except OSError:
            writer.transport.abort()  # nobody listens there
            return
        await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))

    server = await asyncio.start_server(on_connection, "127.0.0.1", port)
    print(f"carries 127.0.0.1:{port} to {host}:{host_port}; Ctrl-C cuts it", flush=True)
    await server.serve_forever()


def main(arguments):
    try:
        port, target = arguments
        host, host_port = target.rsplit(":", 1)
        port, host_port = int(port), int(host_port)
    except ValueError:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        asyncio.run(carry(port, host, host_port))
    except KeyboardInterrupt:
        print("cut")
    except OSError as error:
        print(f"link.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
