"""Certificates and tokens, made by libraries that Ringside does not use."""

import base64
import datetime
import hashlib
import hmac
import ipaddress
import json
import ssl
import time

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

ISSUER, AUDIENCE = "https://issuer.example", "chat"
PLAIN = serialization.NoEncryption()
RSA_KEYS = [rsa.generate_private_key(65537, 2048) for _ in range(2)]  # made once: that takes longer than most tests


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Certificates:
    """An authority, a certificate for localhost and one for a client, as files in a directory."""

    def __init__(self, directory):
        self.directory = directory
        self._key, self._name = ec.generate_private_key(ec.SECP256R1()), self._named("Scripts CA")
        authority = self._signed(self._name, self._key.public_key(), is_authority=True)
        self._write("ca.crt", authority)
        self.issue("tls", "localhost")
        self.issue("client", "a client")

    def context(self, client_certificate=False):
        """A client's TLS settings."""
        context = ssl.create_default_context(cafile=self.directory / "ca.crt")
        if client_certificate:
            context.load_cert_chain(self.directory / "client.crt", self.directory / "client.key")
        return context

    def server_context(self):
        """A server's, for localhost."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.directory / "tls.crt", self.directory / "tls.key")
        return context

    def issue(self, file, name):
        """Another certificate of the authority, as FILE.crt and FILE.key."""
        key = ec.generate_private_key(ec.SECP256R1())
        self._write(f"{file}.crt", self._signed(self._named(name), key.public_key()))
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, PLAIN)
        (self.directory / f"{file}.key").write_bytes(pem)

    @staticmethod
    def _named(name):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    def _signed(self, subject, key, is_authority=False):
        now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = x509.CertificateBuilder(self._name, subject, key, x509.random_serial_number(), now - day, now + day)
        builder = builder.add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        if not is_authority:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def _write(self, file, certificate):
        (self.directory / file).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


class Issuer:
    """Signs tokens with RS256 by PyJWT, and remembers them all, so that a test can look for them where none may be."""

    def __init__(self, directory):
        self._key, self._stranger = RSA_KEYS
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key()))
        public |= {"kid": "scripts", "alg": "RS256", "use": "sig"}
        (directory / "jwks.json").write_text(json.dumps({"keys": [public]}))
        self.issued = []

    def token(self, by_stranger=False, algorithm="RS256", kid="scripts", **claims):
        key = self._stranger if by_stranger else self._key
        return self._remember(self._encoded(claims, None if algorithm == "none" else key, algorithm, kid))

    def confused_token(self):
        """HS256, with the public key as the secret: the oldest attack on JWT verifiers."""
        encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        secret = self._key.public_key().public_bytes(encoding, form)
        _, payload, _ = self._encoded({}, self._key, "RS256").split(".")
        header = base64url(json.dumps({"alg": "HS256", "typ": "JWT", "kid": "scripts"}).encode())
        signature = hmac.digest(secret, f"{header}.{payload}".encode(), hashlib.sha256)
        return self._remember(f"{header}.{payload}.{base64url(signature)}")

    def leaked_into(self, text):
        """Whether a part of a token that only its bearer may know stands in `text`, plain or in base64url."""
        secrets = [part for token in self.issued for part in token.split(".")[1:] if part]
        secrets += [base64url(token.encode())[:-4] for token in self.issued]
        return any(secret in text for secret in secrets)

    def _encoded(self, claims, key, algorithm, kid="scripts"):
        now = int(time.time())
        default = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "tenant": "acme", "exp": now + 600}
        return jwt.encode(default | claims, key, algorithm=algorithm, headers={"kid": kid})

    def _remember(self, token):
        self.issued.append(token)
        return token
