"""A TLS front for PostgreSQL that sends full 16 kB records, as servers from 17 on and some proxies do.

usage: tls-records.py CERTIFICATE KEY SERVER_PORT; prints its own port, ends with its standard input.
"""
import os, select, socket, ssl, sys, threading

certificate, key, server_port = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)


def whole(server):
    """What the server sends in one go, so that its 8 kB pieces become full records."""
    data = piece = server.recv(1 << 20)
    while piece and select.select([server], [], [], 0.02)[0]:
        piece = server.recv(1 << 20)
        data += piece
    return data


def serve(client):
    client.recv(8)  # SSLRequest
    client.sendall(b"S")
    # A memory BIO, so that one thread may read while the other writes.
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    lock = threading.Lock()

    def step(action):
        while True:
            with lock:
                try:
                    result, wants = action(), False
                except ssl.SSLWantReadError:
                    result, wants = None, True
                data = outgoing.read()
                if data:
                    client.sendall(data)
            if not wants:
                return result
            data = client.recv(65536)
            with lock:
                incoming.write(data) if data else incoming.write_eof()

    step(tls.do_handshake)
    server = socket.create_connection(("127.0.0.1", int(server_port)))

    def answers():
        while data := whole(server):
            with lock:
                tls.write(data)
                client.sendall(outgoing.read())
        client.close()

    threading.Thread(target=answers, daemon=True).start()
    try:
        while data := step(lambda: tls.read(65536)):
            server.sendall(data)
    except (ssl.SSLError, OSError):
        pass
    server.close()


def accept():
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


threading.Thread(target=accept, daemon=True).start()
sys.stdin.read()
os._exit(0)
