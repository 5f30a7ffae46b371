# The wire protocols of MySQL and PostgreSQL, as far as an administrator needs them:
# TLS always, the server's certificate checked, text queries. AWS's Python has no driver.
import base64
import hashlib
import hmac
import os
import secrets
import socket
import ssl
import struct


class Refused(Exception):
    """The server refused: its code, and its words without the statement."""

    def __init__(self, code, text):
        super().__init__("%s: %s" % (code, text))
        self.code = code


def secure(sock, host, authority):
    context = ssl.create_default_context(cadata=authority) if authority else ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context.wrap_socket(sock, server_hostname=host)


class Wire:
    def __init__(self, host, port):
        self.sock = socket.create_connection((host, port), timeout=20)

    def exactly(self, n):
        out = b""
        while len(out) < n:
            part = self.sock.recv(n - len(out))
            if not part:
                raise ConnectionError("the server hung up")
            out += part
        return out

    def close(self):
        self.sock.close()


class MySQL(Wire):
    engine = "mysql"

    # LONG_PASSWORD, LONG_FLAG, PROTOCOL_41, SSL, TRANSACTIONS, SECURE_CONNECTION, PLUGIN_AUTH
    FLAGS = 0x1 | 0x4 | 0x200 | 0x800 | 0x2000 | 0x8000 | 0x80000

    def __init__(self, host, port, user, password, database="", authority=None):
        super().__init__(host, port)
        self.seq = 0
        hello = self.packet()
        if hello[0] == 0xFF:
            self.fail(hello)
        end = hello.index(b"\0", 1)
        rest = hello[end + 5:]
        nonce = rest[:8]
        if not struct.unpack("<H", rest[9:11])[0] & 0x800:
            raise ConnectionError("the server offers no TLS")
        more = rest[27:]
        length = max(12, rest[17] - 9)
        nonce += more[:length]
        plugin = more[length + 1:].split(b"\0")[0].decode() or "mysql_native_password"
        flags = self.FLAGS | (0x8 if database else 0)
        start = struct.pack("<IIB23x", flags, 1 << 24, 45)
        self.send(start)
        self.sock = secure(self.sock, host, authority)
        answer = self.scramble(plugin, password, nonce)
        login = start + user.encode() + b"\0" + bytes([len(answer)]) + answer
        if database:
            login += database.encode() + b"\0"
        self.send(login + plugin.encode() + b"\0")
        while True:
            p = self.packet()
            if p[0] == 0x00:
                return
            if p[0] == 0xFF:
                self.fail(p)
            if p[0] == 0xFE:  # another method
                plugin, nonce = p[1:].split(b"\0", 1)
                plugin = plugin.decode()
                self.send(self.scramble(plugin, password, nonce.rstrip(b"\0")))
            elif p == b"\x01\x04":  # caching_sha2_password asks for the password itself; TLS hides it
                self.send(password.encode() + b"\0")

    @staticmethod
    def scramble(plugin, password, nonce):
        if not password:
            return b""
        secret, nonce = password.encode(), nonce[:20]
        if plugin == "mysql_native_password":
            h = lambda b: hashlib.sha1(b).digest()
            one = h(secret)
            two = h(nonce + h(one))
        elif plugin == "caching_sha2_password":
            h = lambda b: hashlib.sha256(b).digest()
            one = h(secret)
            two = h(h(one) + nonce)
        elif plugin == "mysql_clear_password":
            return secret + b"\0"
        else:
            raise ConnectionError("the server asks for the login method %s" % plugin)
        return bytes(a ^ b for a, b in zip(one, two))

    def packet(self):
        out = b""
        while True:
            head = self.exactly(4)
            size = int.from_bytes(head[:3], "little")
            self.seq = (head[3] + 1) % 256
            out += self.exactly(size)
            if size < 0xFFFFFF:
                return out

    def send(self, data):
        self.sock.sendall(len(data).to_bytes(3, "little") + bytes([self.seq]) + data)
        self.seq = (self.seq + 1) % 256

    def fail(self, p):
        code = struct.unpack("<H", p[1:3])[0]
        raise Refused(code, p[9:].decode(errors="replace") if p[3:4] == b"#" else p[3:].decode(errors="replace"))

    def query(self, sql):
        """Rows of text, None for NULL."""
        self.seq = 0
        self.send(b"\x03" + sql.encode())
        p = self.packet()
        if p[0] == 0xFF:
            self.fail(p)
        if p[0] == 0x00:
            return []
        for _ in range(number(p, 0)[0]):
            self.packet()
        self.packet()
        rows = []
        while True:
            p = self.packet()
            if p[0] == 0xFF:
                self.fail(p)
            if p[0] == 0xFE and len(p) < 9:
                return rows
            row, at = [], 0
            while at < len(p):
                if p[at] == 0xFB:
                    row.append(None)
                    at += 1
                    continue
                n, at = number(p, at)
                row.append(p[at:at + n].decode(errors="replace"))
                at += n
            rows.append(row)


def number(p, at):
    """A length-encoded integer, and where it ends."""
    width = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(p[at])
    if width is None:
        return p[at], at + 1
    return int.from_bytes(p[at + 1:at + 1 + width], "little"), at + 1 + width


class PostgreSQL(Wire):
    engine = "postgres"

    def __init__(self, host, port, user, password, database="postgres", authority=None):
        super().__init__(host, port)
        self.sock.sendall(struct.pack("!II", 8, 80877103))
        if self.exactly(1) != b"S":
            raise ConnectionError("the server offers no TLS")
        self.sock = secure(self.sock, host, authority)
        start = b"\0\x03\0\0user\0" + user.encode() + b"\0database\0" + (database or "postgres").encode() + b"\0\0"
        self.sock.sendall(struct.pack("!I", len(start) + 4) + start)
        verify = None
        while True:
            kind, p = self.message()
            if kind == b"E":
                self.fail(p)
            if kind == b"Z":
                return
            if kind != b"R":
                continue
            method = struct.unpack("!I", p[:4])[0]
            if method == 3:
                self.tell(password.encode() + b"\0")
            elif method == 5:
                inner = hashlib.md5((password + user).encode()).hexdigest().encode()
                self.tell(b"md5" + hashlib.md5(inner + p[4:8]).hexdigest().encode() + b"\0")
            elif method == 10:
                nonce = base64.b64encode(secrets.token_bytes(18)).decode()
                first = "n=,r=" + nonce
                data = ("n,," + first).encode()
                self.tell(b"SCRAM-SHA-256\0" + struct.pack("!I", len(data)) + data)
            elif method == 11:
                server = p[4:].decode()
                parts = dict(x.split("=", 1) for x in server.split(","))
                if not parts["r"].startswith(nonce):
                    raise ConnectionError("the server's answer is not to our question")
                salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(parts["s"]), int(parts["i"]))
                sign = lambda key, text: hmac.digest(key, text, "sha256")
                key = sign(salted, b"Client Key")
                bare = "c=biws,r=" + parts["r"]
                whole = ",".join([first, server, bare]).encode()
                proof = bytes(a ^ b for a, b in zip(key, sign(hashlib.sha256(key).digest(), whole)))
                verify = base64.b64encode(sign(sign(salted, b"Server Key"), whole)).decode()
                self.tell((bare + ",p=" + base64.b64encode(proof).decode()).encode())
            elif method == 12:
                if p[4:].decode() != "v=" + verify:
                    raise ConnectionError("the server does not know the password either")
            elif method != 0:
                raise ConnectionError("the server asks for the login method %d" % method)

    def message(self):
        kind = self.exactly(1)
        return kind, self.exactly(struct.unpack("!I", self.exactly(4))[0] - 4)

    def tell(self, data):
        self.sock.sendall(b"p" + struct.pack("!I", len(data) + 4) + data)

    def fail(self, p):
        fields = {x[:1]: x[1:].decode(errors="replace") for x in p.split(b"\0") if x}
        raise Refused(fields.get(b"C", "?"), fields.get(b"M", "?"))

    def query(self, sql):
        """Rows of text, None for NULL, of the last statement that has any."""
        data = sql.encode() + b"\0"
        self.sock.sendall(b"Q" + struct.pack("!I", len(data) + 4) + data)
        rows, failed = [], None
        while True:
            kind, p = self.message()
            if kind == b"T":
                rows = []
            elif kind == b"D":
                row, at = [], 2
                for _ in range(struct.unpack("!H", p[:2])[0]):
                    n = struct.unpack("!i", p[at:at + 4])[0]
                    at += 4
                    row.append(None if n < 0 else p[at:at + n].decode(errors="replace"))
                    at += max(n, 0)
                rows.append(row)
            elif kind == b"E":
                failed = p
            elif kind == b"Z":
                if failed:
                    self.fail(failed)
                return rows
