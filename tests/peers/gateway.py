#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A gateway before a simulated server, as they stand before real ones: TLS, a proxy, limits, keys it repeats.

usage: gateway.py --log FILE --upstream HOST:PORT [--tls CERT KEY] [--limit N HEADER VALUE] [--model NAME]

Prints `listening on PORT and with TLS on PORT`. Three roles, told by the request line: a path is answered by the upstream; an absolute URL is a proxy's
request, forwarded to the upstream whatever host it names; CONNECT is a tunnel to this gateway's own TLS port. Each request is a line
of FILE: monotonic milliseconds, role, target, status. The first N questions are refused with 429 and `HEADER: VALUE`; VALUE
`date+S` is an HTTP date S seconds ahead. Where $GATEWAY_KEY is set a request without it gets 401. Every refusal,
and with a key every answer, repeats what was sent, as it is, as in a URL, and in base64. --model replaces the model's name in replies
to questions.
"""
import argparse
import base64
import email.utils
import http.client
import os
import socket
import ssl
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

lock = threading.Lock()
refused = 0


def now_ms():
    return time.monotonic_ns() // 1000000


def repeated(sent):
    key = sent.replace("Bearer ", "")
    return " ".join((sent, urllib.parse.quote(key, safe=""), base64.b64encode(b"user:" + key.encode()).decode())).encode()


class Gateway(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def note(self, role, status):
        with lock, open(options.log, "a", encoding="utf-8") as log:
            log.write(f"{now_ms()} {role} {self.path} {status}\n")

    def reply(self, role, status, body, headers=()):
        self.note(role, status)
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_CONNECT(self):
        self.note("tunnel", 200)
        far = socket.create_connection(("127.0.0.1", options.tls_port))
        self.send_response(200)
        self.end_headers()
        threads = [threading.Thread(target=self.pump, args=pair, daemon=True)
                   for pair in ((self.connection, far), (far, self.connection))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.close_connection = True

    @staticmethod
    def pump(one, other):
        try:
            while data := one.recv(65536):
                other.sendall(data)
        except OSError:
            pass
        try:
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def is_refused(self, body):
        global refused
        if not options.limit or b"Question:" not in (body or b""):
            return False
        with lock:
            refused += 1
            return refused <= int(options.limit[0])

    def forward(self):
        role = "direct" if self.path.startswith("/") else "proxy"
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else None
        sent = self.headers.get("Authorization") or ""
        if options.key and sent != "Bearer " + options.key:
            self.reply(role, 401, b'{"error":{"message":"Incorrect API key provided: %s"}}' % repeated(sent))
            return
        if self.is_refused(body):
            name, value = options.limit[1:]
            if value.startswith("date+"):
                value = email.utils.formatdate(time.time() + float(value[5:]), usegmt=True)
            self.reply(role, 429, b'{"error":{"message":"slow down, %s"}}' % repeated(sent), [(name, value)])
            return
        path = self.path if role == "direct" else "/" + self.path.split("/", 3)[3]
        host, port = options.upstream.split(":")
        upstream = http.client.HTTPConnection(host, int(port))
        kept = {n: v for n, v in self.headers.items() if n.lower() not in ("host", "connection", "proxy-connection", "authorization")}
        upstream.request(self.command, path, body, kept)
        answer = upstream.getresponse()
        data = answer.read()
        if options.key and "completions" in self.path:  # a gateway that traces: the first object gets a field of its own
            data = data.replace(b"{", b'{"seen":"%s",' % repeated(sent), 1)
        if options.model and b"Question:" in (body or b""):
            data = data.replace(b'"model":"qlua-sim"', b'"model":"%s"' % options.model.encode())
        self.reply(role, answer.status, data, [("Content-Type", answer.getheader("Content-Type") or "text/plain"), ("X-Seen", sent)])
        upstream.close()

    do_GET = do_POST = forward


def serve(tls):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    server.daemon_threads = True
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


parser = argparse.ArgumentParser()
parser.add_argument("--log", required=True)
parser.add_argument("--upstream", required=True)
parser.add_argument("--tls", nargs=2)
parser.add_argument("--limit", nargs=3)
parser.add_argument("--model")
options = parser.parse_args()
options.key = os.environ.get("GATEWAY_KEY")
options.tls_port = serve(options.tls) if options.tls else 0
print("listening on", serve(None), "and with TLS on", options.tls_port, flush=True)
threading.Event().wait()
