"""The API on TCP: mutual TLS, who is let in and who is not, and that strangers hold nobody up."""

import json
import os
import shutil
import socket
import ssl
import subprocess
import time
import unittest

import lab
import net
from case import EngineCase
from lab import until

PORT = 2376


def openssl(*arguments, folder):
    done = subprocess.run(["openssl", *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    if done.returncode != 0:
        raise AssertionError(f"openssl {arguments}: {done.stdout}")


def make_ca(folder):
    """ca.pem, cert.pem and key.pem of a client, server-cert.pem and server-key.pem."""
    os.makedirs(folder)
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *new_key, "-keyout", "ca-key.pem", "-out", "ca.pem", "-days", "10", "-subj", "/CN=test ca", folder=folder)
    for prefix, usage in (("", "clientAuth"), ("server-", "serverAuth")):
        with open(os.path.join(folder, prefix + "ext"), "w") as file:
            file.write(f"extendedKeyUsage={usage}\nsubjectAltName=IP:{lab.HOST_ADDRESS},DNS:localhost\n")
        openssl("req", *new_key, "-keyout", prefix + "key.pem", "-out", prefix + "csr", "-subj", f"/CN={usage}", folder=folder)
        openssl("x509", "-req", "-in", prefix + "csr", "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-out", prefix + "cert.pem", "-days", "10", "-extfile", prefix + "ext", folder=folder)
    return folder


@unittest.skipIf(lab.IS_DOCKERD, "its flags are another matter")
class TlsCase(EngineCase):
    images = ("alpine",)
    verify = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.certs = make_ca(os.path.join(cls.host.folder, "certs"))
        cls.strangers = make_ca(os.path.join(cls.host.folder, "strangers"))
        at = lambda name: os.path.join(cls.certs, name)  # noqa: E731
        cls.host.engine_flags = ["-H", f"tcp://0.0.0.0:{PORT}", "--tlsverify" if cls.verify else "--tls", "--tlscacert", at("ca.pem"), "--tlscert", at("server-cert.pem"), "--tlskey", at("server-key.pem")]
        cls.host.restart()

    def remote(self, *arguments, certs=None, program=lab.DOCKER, host=f"tcp://{lab.HOST_ADDRESS}:{PORT}", input=None):
        """A command from another machine, with the certificates in that folder."""
        settings = [f"DOCKER_HOST={host}", f"DOCKER_CERT_PATH={certs or self.certs}", "DOCKER_TLS_VERIFY=1", "DOCKER_CONFIG=" + os.path.join(self.host.folder, "docker-config")]
        return self.host.run_in("env", *settings, program, *arguments, netns="client", input=input)

    def connect(self):
        return net.connect(self.host, lab.HOST_ADDRESS, PORT)


class MutualTest(TlsCase):
    def test_everything_goes_through_it(self):
        self.assertEqual(self.remote("version", "-f", "{{.Server.Os}}").check().line, "linux")
        self.assertEqual(self.remote("run", "--rm", "alpine", "sh", "-c", "echo out; echo err >&2; exit 3").check(3).out, "out\n")
        self.assertEqual(self.remote("run", "--rm", "-i", "alpine", "sh", "-c", "cat; echo end", input="through\n" * 20000).check().out, "through\n" * 20000 + "end\n")
        self.remote("run", "-d", "--name", "box", "alpine", "sh", "-c", "seq 1 100000; sleep 1000").check()
        self.host.wait_logs("box", "100000")
        self.assertEqual(self.remote("logs", "box").check().out, "".join(f"{i}\n" for i in range(1, 100001)))
        self.assertEqual(self.remote("exec", "-i", "box", "cat", input="x").check().out, "x")
        self.assertEqual(self.remote("cp", "box:/etc/hostname", "-").check().code, 0)
        self.assertNotIn("API is accessible", self.docker("info").check().err)

    def test_the_unix_socket_stays_plain(self):
        self.assertEqual(self.host.api("GET", "/_ping").body, b"OK")

    def test_contexts(self):
        files = ",".join(f"{kind}={os.path.join(self.certs, name)}" for kind, name in (("ca", "ca.pem"), ("cert", "cert.pem"), ("key", "key.pem")))
        config = {"DOCKER_CONFIG": os.path.join(self.host.folder, "context-config")}
        run = lambda *arguments: self.host.run_in("env", *[f"{k}={v}" for k, v in config.items()], lab.DOCKER, *arguments, netns="client")  # noqa: E731
        run("context", "create", "far", "--docker", f"host=tcp://{lab.HOST_ADDRESS}:{PORT},{files}").check()
        run("context", "create", "near", "--docker", "host=unix://" + self.host.socket).check()
        for name in ("far", "near"):
            self.assertEqual(run("--context", name, "run", "--rm", "alpine", "echo", name).check().out, name + "\n")
        run("context", "use", "far").check()
        self.assertEqual(run("info", "-f", "{{.Name}}").check().line, "testhost")
        self.assertIn("far *", run("context", "ls").check().out)

    def test_panals_own_command_line(self):
        panal = os.path.join(lab.BIN, "panal")
        self.assertIn("alpine", self.remote("image", "ls", program=panal).check().out)
        stranger = self.remote("image", "ls", program=panal, certs=self.strangers)
        self.assertNotEqual(stranger.code, 0)
        self.assertIn(f"Cannot connect to the Panal daemon at tcp://{lab.HOST_ADDRESS}:{PORT}", stranger.err)

    def test_who_is_refused(self):
        def mixed(name, **files):
            folder = os.path.join(self.host.scratch, name)
            os.makedirs(folder, exist_ok=True)
            for file, source in files.items():
                shutil.copy(source, os.path.join(folder, file + ".pem"))
            return folder
        at = os.path.join
        stranger = mixed("stranger", ca=at(self.certs, "ca.pem"), cert=at(self.strangers, "cert.pem"), key=at(self.strangers, "key.pem"))  # trusts us, but is unknown here
        result = self.remote("ps", certs=stranger)
        self.assertNotEqual(result.code, 0)
        self.assertRegex(result.err, "certificate|unknown ca")
        self.assertNotEqual(self.remote("ps", certs=self.strangers).code, 0)
        context = ssl.create_default_context(cafile=os.path.join(self.certs, "ca.pem"))  # no certificate at all
        with self.connect() as plain, self.assertRaises((ssl.SSLError, ConnectionError)):
            with context.wrap_socket(plain, server_hostname=lab.HOST_ADDRESS) as secure:
                secure.sendall(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
                if not secure.recv(100):
                    raise ConnectionError("closed")
        server = mixed("server-as-client", ca=at(self.certs, "ca.pem"), cert=at(self.certs, "server-cert.pem"), key=at(self.certs, "server-key.pem"))
        self.assertNotEqual(self.remote("ps", certs=server).code, 0, "a server's certificate is no client's")

    def test_plain_http_is_told(self):
        with self.connect() as plain:
            plain.sendall(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            while chunk := plain.recv(4096):
                answer += chunk
        self.assertIn(b"400 Bad Request", answer)
        self.assertIn(b"Client sent an HTTP request to an HTTPS server.", answer)

    def test_silent_strangers_hold_nobody_up(self):
        silent = [self.connect() for _ in range(150)]
        try:
            began = time.monotonic()
            self.assertEqual(self.remote("version", "-f", "{{.Server.Os}}").check().line, "linux")
            self.assertEqual(self.host.api("GET", "/_ping").status, 200)
            self.assertLess(time.monotonic() - began, 5)
            dripping = silent[-1]  # bytes now and then buy no more time
            dripping.sendall(b"\x16\x03\x01\x02\x00")  # a record of 512 bytes is announced
            dripping.settimeout(0.2)

            def closed():
                try:
                    dripping.sendall(b"\x01")
                    return dripping.recv(1) == b""
                except socket.timeout:
                    return False
                except OSError:
                    return True
            until(closed, "the handshake is given up", 20)
        finally:
            for each in silent:
                each.close()
        self.assertEqual(self.remote("version", "-f", "{{.Server.Os}}").check().line, "linux")

    def test_a_stream_whose_reader_sleeps_goes_on(self):
        self.remote("run", "-d", "--name", "box", "alpine", "sh", "-c", "seq 1 300000; sleep 1000").check()
        self.host.wait_logs("box", "300000")
        context = ssl.create_default_context(cafile=os.path.join(self.certs, "ca.pem"))
        context.load_cert_chain(os.path.join(self.certs, "cert.pem"), os.path.join(self.certs, "key.pem"))
        with context.wrap_socket(self.connect(), server_hostname=lab.HOST_ADDRESS) as secure:
            secure.sendall(b"GET /v1.51/containers/box/logs?stdout=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            secure.recv(100)
            time.sleep(22)
            size = 0
            while chunk := secure.recv(65536):
                size += len(chunk)
        self.assertGreater(size, 300000 * 6)


class NotVerifyingTest(TlsCase):
    verify = False

    def test_anybody_is_let_in_and_info_says_so(self):
        context = ssl.create_default_context(cafile=os.path.join(self.certs, "ca.pem"))
        with context.wrap_socket(self.connect(), server_hostname=lab.HOST_ADDRESS) as secure:
            secure.sendall(b"GET /info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = b""
            while chunk := secure.recv(65536):
                answer += chunk
        info = json.loads(answer.split(b"\r\n\r\n", 1)[1])
        self.assertTrue(any(f"API is accessible on https://0.0.0.0:{PORT} without TLS client verification." in warning for warning in info["Warnings"]), info["Warnings"])


if __name__ == "__main__":
    unittest.main()
