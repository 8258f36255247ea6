"""Debian's docker-registry inside a test host's namespaces, what tests put there by hand, and two servers of the tests' own that run there
as programs: a token server, and a proxy that cuts connections.

    with the host's engine running:
        registry = Registry(host).start()          # plain, at 127.0.0.1:5000 of the host
        registry.put_image("app", "1", [Layer(files)])
"""

import base64
import hashlib
import http.server
import io
import json
import os
import socket
import subprocess
import sys
import tarfile
import threading
import time
import urllib.parse

MANIFEST, INDEX = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"
CONFIG, LAYER = "application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar"
USER, PASSWORD = "keeper", "honey and wax"


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tar_of(files):
    """files: {name: bytes}"""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755
            tar.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def run(*command, input=None):
    return subprocess.run(command, input=input, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True).stdout


def pack(data, how):
    return data if how == "tar" else run("gzip" if how == "gzip" else "zstd", "-c", input=data)


def certificate(folder, address="127.0.0.1"):
    """A CA, and a server's key and certificate for `address`, in `folder`."""
    def openssl(*words):
        run("openssl", *words)
    ca, key, request, cert = (os.path.join(folder, name) for name in ("ca.crt", "server.key", "server.csr", "server.crt"))
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=test CA", "-keyout", folder + "/ca.key", "-out", ca)
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=registry", "-addext", f"subjectAltName=IP:{address}", "-keyout", key, "-out", request)
    openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", folder + "/ca.key", "-CAcreateserial", "-days", "2", "-copy_extensions", "copy", "-out", cert)
    return ca, key, cert


def bcrypt_of(password):
    try:
        import bcrypt
        return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
    except ImportError:
        import crypt  # Debian 12's Python
        return crypt.crypt(password, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))


class Registry:
    def __init__(self, host, address="127.0.0.1", port=5000, auth=None, tls=False, name="registry", wants_client=False):
        """auth: None, "basic" or "token". wants_client: only who shows a certificate of the same CA is heard."""
        self.wants_client = wants_client
        self.host, self.address, self.port, self.auth, self.tls = host, address, port, auth, tls
        self.folder = os.path.join(host.folder, name)
        self.name = f"{address}:{port}"
        self.pids = []
        os.makedirs(self.folder + "/data")

    def start(self):
        config = {"version": "0.1", "log": {"level": "info"}, "storage": {"filesystem": {"rootdirectory": self.folder + "/data"}, "delete": {"enabled": True}},
                  "http": {"addr": self.name, "secret": "s"}}
        if self.tls:
            self.ca, key, cert = certificate(self.folder, self.address)
            config["http"]["tls"] = {"certificate": cert, "key": key, **({"clientcas": [self.ca]} if self.wants_client else {})}
            self.key, self.cert = key, cert
        if self.auth == "basic":
            with open(self.folder + "/htpasswd", "w") as file:
                file.write(f"{USER}:{bcrypt_of(PASSWORD)}\n")
            config["auth"] = {"htpasswd": {"realm": "test", "path": self.folder + "/htpasswd"}}
        if self.auth == "token":
            run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tokens", "-keyout", self.folder + "/token.key", "-out", self.folder + "/token.crt")
            self.spawn(sys.executable, os.path.realpath(__file__), "tokens", self.address, str(self.port + 100), self.folder, log="tokens.log")
            config["auth"] = {"token": {"realm": f"http://{self.address}:{self.port + 100}/token", "service": "test registry", "issuer": "test issuer", "rootcertbundle": self.folder + "/token.crt"}}
        with open(self.folder + "/config.yml", "w") as file:
            json.dump(config, file)  # JSON is YAML
        self.pid = self.spawn("/usr/bin/docker-registry", "serve", self.folder + "/config.yml", log="registry.log")
        self.wait_port(self.port)
        if self.auth == "token":
            self.wait_port(self.port + 100)
        return self

    def spawn(self, *argv, log):
        return self.host._ask({"op": "spawn", "argv": list(argv), "env": {"OTEL_TRACES_EXPORTER": "none"}, "log": os.path.join(self.folder, log)})["pid"]

    def stop(self):
        self.host._ask({"op": "kill", "pid": self.pid, "signal": 9})

    def wait_port(self, port):
        end = time.monotonic() + 20
        while self.host.run_in("bash", "-c", f"exec 3<>/dev/tcp/{self.address}/{port}").code != 0:
            if time.monotonic() > end:
                raise AssertionError(f"nobody listens at {self.address}:{port}; {self.log()}")
            time.sleep(0.05)

    def log(self, name="registry.log"):
        try:
            with open(os.path.join(self.folder, name), errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def flaky(self, port, cut_after=1 << 40, cuts=1000, pause=0):
        """A proxy in front that cuts each answer to a request for a blob after so many bytes, and rests between pieces of 64 KiB. The name
        to reach it by. It notes requests, and how many answers for blobs are under way at once."""
        self.spawn(sys.executable, os.path.realpath(__file__), "flaky", self.address, str(port), str(self.port), str(cut_after), str(cuts), str(pause), log="flaky.log")
        self.wait_port(port)
        return f"{self.address}:{port}"

    def index(self, port):
        """An index for docker search. The name to reach it by."""
        self.spawn(sys.executable, os.path.realpath(__file__), "index", self.address, str(port), log="index.log")
        self.wait_port(port)
        return f"{self.address}:{port}"

    # --- what tests put there by hand
    def request(self, method, path, body=None, headers=()):
        """Status, headers (lower case) and body, asked from inside the host."""
        base = ("https" if self.tls else "http") + "://" + self.name
        command = ["curl", "-sk", "-i", "-X", method, path if path.startswith("http") else base + path]
        for header in (*headers, "Expect:"):
            command += ["-H", header]
        if self.auth == "basic":
            command += ["-u", f"{USER}:{PASSWORD}"]
        if method == "HEAD":
            command.append("-I")
        data = None
        if body is not None:
            data = os.path.join(self.folder, "body")
            with open(data, "wb") as file:
                file.write(body)
            command += ["--data-binary", "@" + data]
        done = subprocess.run(["nsenter", "-t", str(self.host.init_pid), "-n", "--", *command], stdout=subprocess.PIPE, check=True).stdout
        head, _, rest = done.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        found = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        return int(lines[0].split()[1]), found, rest

    def put_blob(self, name, data):
        digest = digest_of(data)
        status, headers, body = self.request("POST", f"/v2/{name}/blobs/uploads/", b"")
        assert status == 202, body
        location = headers["location"]
        status, _, body = self.request("PUT", location + ("&" if "?" in location else "?") + "digest=" + urllib.parse.quote(digest), data, ["Content-Type: application/octet-stream"])
        assert status == 201, body
        return digest

    def put_manifest(self, name, reference, manifest, media_type=MANIFEST):
        data = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        status, _, body = self.request("PUT", f"/v2/{name}/manifests/{reference}", data, ["Content-Type: " + media_type])
        assert status == 201, body
        return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}

    def put_image(self, name, tag, layers, architecture="amd64", how="gzip", config=None, variant=""):
        """layers: list of {name: bytes}. The manifest's descriptor."""
        plain = [tar_of(files) for files in layers]
        packed = [pack(data, how) for data in plain]
        content = {"architecture": architecture, "os": "linux", "config": config or {"Cmd": ["/bin/sh"]}, "rootfs": {"type": "layers", "diff_ids": [digest_of(data) for data in plain]}}
        if variant:
            content["variant"] = variant
        blob = json.dumps(content).encode()
        suffix = {"tar": "", "gzip": "+gzip", "zstd": "+zstd"}[how]
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": {"mediaType": CONFIG, "digest": self.put_blob(name, blob), "size": len(blob)},
                    "layers": [{"mediaType": LAYER + suffix, "digest": self.put_blob(name, data), "size": len(data)} for data in packed]}
        return {**self.put_manifest(name, tag, manifest), "platform": {"os": "linux", "architecture": architecture, **({"variant": variant} if variant else {})}}

    def put_index(self, name, tag, entries):
        return self.put_manifest(name, tag, {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}, INDEX)

    def manifest(self, name, reference):
        return self.request("GET", f"/v2/{name}/manifests/{reference}", headers=["Accept: " + ", ".join((MANIFEST, INDEX))])


# --- programs of their own
def url64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def serve_tokens(address, port, folder):
    """Bearer tokens as the registry wants them, for everybody to pull what is below public/ and for the keeper to do everything. A refresh
    token when an offline one is asked for."""
    der = base64.b64encode(run("openssl", "x509", "-in", folder + "/token.crt", "-outform", "DER")).decode()

    def token(user, scopes):
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            allowed = [a for a in actions.split(",") if user == USER or (a == "pull" and name.startswith("public/"))]
            access.append({"type": kind, "name": name, "actions": allowed})
        now = int(time.time())
        claims = {"iss": "test issuer", "sub": user, "aud": "test registry", "exp": now + 60, "nbf": now - 10, "iat": now, "jti": "x", "access": access}
        text = url64(json.dumps({"typ": "JWT", "alg": "RS256", "x5c": [der]}).encode()) + "." + url64(json.dumps(claims).encode())
        return text + "." + url64(run("openssl", "dgst", "-sha256", "-sign", folder + "/token.key", input=text.encode()))

    class Tokens(http.server.BaseHTTPRequestHandler):
        def answer(self, status, body):
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self):
            query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
            user, given = "", self.headers.get("Authorization", "")
            if given:
                user, _, password = base64.b64decode(given.split()[1]).decode().partition(":")
                if (user, password) != (USER, PASSWORD):
                    return self.answer(401, {"details": "incorrect username or password"})
            body = {"token": token(user, query.get("scope", []))}
            if query.get("offline_token") == ["true"] and user:
                body["refresh_token"] = "refreshed-" + user
            self.answer(200, body)

        def do_POST(self):
            form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            if form.get("refresh_token") != ["refreshed-" + USER]:
                return self.answer(401, {"details": "no such refresh token"})
            self.answer(200, {"access_token": token(USER, form.get("scope", [""])[0].split() if form.get("scope") else [])})

    http.server.ThreadingHTTPServer((address, int(port)), Tokens).serve_forever()


def serve_flaky(address, port, behind, cut_after, cuts, pause):
    left, busy = [int(cuts)], [0]

    def say(line):  # in one piece: threads talk
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def serve(client):
        server = socket.create_connection((address, int(behind)))
        request = b""
        while b"\r\n\r\n" not in request:
            data = client.recv(65536)
            if not data or data[0] == 0x16:  # somebody tries TLS
                return client.close()
            request += data
        first = request.split(b"\r\n")[0].decode()
        ranges = [line.decode() for line in request.split(b"\r\n") if line.lower().startswith(b"range:")]
        say(" ".join([first, *ranges]))
        # one exchange a connection
        head, _, body = request.partition(b"\r\n\r\n")
        server.sendall(head + b"\r\nConnection: close\r\n\r\n" + body)
        is_blob = "/blobs/" in first
        limit = int(cut_after) if is_blob and left[0] > 0 else None
        busy[0] += is_blob
        say(f"at once {busy[0]}")
        sent = 0
        data = server.recv(65536)
        while data:
            following = server.recv(65536)
            if not following:  # who has the last piece may begin the next exchange at once
                busy[0] -= is_blob
                is_blob = False
            if limit is not None and sent + len(data) > limit:
                client.sendall(data[:limit - sent])
                left[0] -= 1
                break
            try:
                client.sendall(data)
            except OSError:
                break
            sent += len(data)
            time.sleep(float(pause) if is_blob else 0)
            data = following
        busy[0] -= is_blob
        client.close()
        server.close()

    listener = socket.create_server((address, int(port)))
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=[client], daemon=True).start()


def serve_index(address, port):
    """What docker search asks. Each description tells who asked and how many were wanted."""
    class Index(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            url = urllib.parse.urlparse(self.path)
            query = urllib.parse.parse_qs(url.query)
            found = url.path == "/v1/search"
            who = self.headers.get("Authorization", "nobody")
            body = json.dumps({"results": [{"name": query["q"][0] + str(n), "description": f"{who} wants {query['n'][0]}", "is_official": n == 0, "is_automated": True, "star_count": 10 * n}
                                           for n in range(120)]} if found else {}).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    http.server.ThreadingHTTPServer((address, int(port)), Index).serve_forever()


if __name__ == "__main__":
    {"index": serve_index, "tokens": serve_tokens, "flaky": serve_flaky}[sys.argv[1]](*sys.argv[2:])
