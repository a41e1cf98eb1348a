"""A mail server that does as it is told, and shows each message as a mail program reads it.

Its argument is a JSON object: whether it has TLS ("none", "starttls", "tls"), wants a user, and which answers it gives
instead of its own. It prints a line of JSON with its port and the certificate of its authority, and one for each
message. It ends when its input does, so it never outlives the test.
"""

import asyncio
import datetime
import ipaddress
import json
import os
import ssl
import sys
import tempfile
from email import message_from_bytes, policy

from aiosmtpd.smtp import SMTP, AuthResult, Envelope
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

plan = json.loads(sys.argv[1])
# How often each answer was given: "for the first N times" counts here.
given = {}


def say(**fields):
    print(json.dumps(fields), flush=True)


def planned(step):
    """The answer that the plan has for this step, as long as it isn't used up."""
    answer = plan.get("answers", {}).get(step)
    if answer is None:
        return None
    given[step] = given.get(step, 0) + 1
    if answer.get("times") is not None and given[step] > answer["times"]:
        return None
    return answer["text"]


def certificate():
    """An authority, and a certificate of this machine that it signed."""
    now = datetime.datetime.now(datetime.timezone.utc)

    def make(name, key, issuer, issuer_key, is_authority):
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer or subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        )
        if not is_authority:
            address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
            names = x509.SubjectAlternativeName([address, x509.DNSName("localhost")])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(issuer_key or key, hashes.SHA256())

    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = make("authority of the test", authority_key, None, None, True)
    own = make("localhost", key, authority.subject, authority_key, False)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(own.public_bytes(pem) + private)
        file.flush()
        context.load_cert_chain(file.name)
    return context, authority.public_bytes(pem).decode()


class Handler:
    async def handle_MAIL(self, server, session, envelope, address, options):
        answer = planned("mail")
        if answer:
            return answer
        envelope.mail_from = address
        return "250 ok"

    async def handle_RCPT(self, server, session, envelope, address, options):
        answer = planned("rcpt " + address) or planned("rcpt")
        if answer == "die":
            server.transport.close()
        if answer:
            return answer
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server, session, envelope: Envelope):
        answer = planned("data")
        if answer == "die":
            server.transport.close()
            return "421 gone"
        if answer == "hang":
            await asyncio.sleep(3600)
        if answer:
            return answer
        mail = message_from_bytes(envelope.content, policy=policy.default)
        leaves = [part for part in mail.walk() if not part.is_multipart()]
        parts = {part.get_content_type(): part.get_content().replace("\r\n", "\n") for part in leaves}
        say(
            recipients=envelope.rcpt_tos,
            sender=envelope.mail_from,
            encrypted=session.ssl is not None,
            user=session.auth_data.login.decode() if session.authenticated else None,
            headers=[[name, str(value)] for name, value in mail.items()],
            parts=parts,
            defects=[str(defect) for defect in mail.defects],
            raw=envelope.content.decode("ascii", "backslashreplace"),
        )
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    ok = data.login == b"kf" and data.password == b"open sesame"
    return AuthResult(success=ok, handled=False, auth_data=data)


async def main():
    tls = plan.get("tls", "none")
    context, authority = certificate()
    user = plan.get("user", False)

    def session():
        return SMTP(
            Handler(),
            hostname="mail.example.org",
            tls_context=context if tls == "starttls" else None,
            require_starttls=tls == "starttls",
            authenticator=authenticate if user else None,
            auth_required=user,
            auth_require_tls=tls == "starttls",
            enable_SMTPUTF8=False,
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(session, "127.0.0.1", 0, ssl=context if tls == "tls" else None)
    say(port=server.sockets[0].getsockname()[1], authority=authority)
    # The test holds the other end.
    await loop.run_in_executor(None, sys.stdin.read)
    os._exit(0)


asyncio.run(main())
