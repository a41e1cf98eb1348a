"""Runs Moto with one request at a time.

Moto checks whether an object is there and stores it in two steps, so of two threads both may be told
that they have created it. Bodies are read before, so that a slow client holds no one up.
"""

import io
import sys
import threading

from moto import server

one_at_a_time = threading.Lock()
run_simple = server.run_simple


def run(host, port, app, **options):
    def alone(environ, start_response):
        length = environ.get("CONTENT_LENGTH")
        if length:
            environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(length)))
        with one_at_a_time:
            return [b"".join(app(environ, start_response))]

    run_simple(host, port, alone, **options)


server.run_simple = run
server.main(sys.argv[1:])
