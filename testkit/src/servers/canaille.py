"""Runs Canaille, which keeps people and groups and signs them in, with all of it in memory.

Its argument is a JSON object: its port, the program that relies on it, and the people.

Its store in memory takes several conditions for alternatives: once one person has agreed to hand out data to a program,
no one is asked again for that program, and while a code for it is out that wasn't used, no other one is made.
"""

import json
import os
import sys

# It listens on loopback alone, without a certificate.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from werkzeug.serving import make_server

plan = json.loads(sys.argv[1])
app = create_app(
    {
        "SECRET_KEY": "of the test",
        # Its issuer is this, whatever a request calls it.
        "SERVER_NAME": "127.0.0.1:%d" % plan["port"],
        "PREFERRED_URL_SCHEME": "http",
        "CANAILLE": {"DATABASE": "memory", "SMTP": None, "TIMEZONE": "UTC", "LANGUAGE": "en"},
        # The client is on loopback too, and people are to be asked nevertheless.
        "CANAILLE_OIDC": {"TRUSTED_DOMAINS": []},
    }
)

with app.app_context():
    store = Backend.instance
    groups = {}
    for person in plan["people"]:
        name = person["name"]
        # Without the whole name, which ID tokens have as `name`: so programs have a reason to ask for more.
        user = models.User(
            user_name=name,
            password=person["password"],
            family_name=name.title(),
            display_name=name,
            emails=[name + "@example.org"],
        )
        store.save(user)
        for group in person["groups"]:
            groups.setdefault(group, []).append(user)
    for group, members in groups.items():
        store.save(models.Group(display_name=group, members=members))
    client = models.Client(
        client_id=plan["client"]["id"],
        client_secret=plan["client"]["secret"],
        client_name="A server that makes backups",
        client_uri="https://backup.example.org",
        redirect_uris=[plan["client"]["redirect"]],
        token_endpoint_auth_method="client_secret_basic",
        id_token_signed_response_alg=plan["client"]["algorithm"],
        grant_types=["authorization_code"],
        response_types=["code"],
        scope=["openid", "profile", "email", "groups"],
    )
    store.save(client)
    client.audience = [client]
    store.save(client)

make_server("127.0.0.1", plan["port"], app, threaded=True).serve_forever()
