"""docker search, and what is said of platforms where an image is for one."""

import base64
import json
import urllib.parse

from test_registry import RegistryCase


def platform(**words):
    return urllib.parse.quote(json.dumps(words))


class SearchTest(RegistryCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.index = cls.registry.index(5020)

    def search(self, query, **headers):
        return self.host.api("GET", f"/images/search?{query}", headers=headers)

    def test_cli(self):
        lines = self.docker("search", "--limit", "3", "--format", "{{.Name}} {{.Description}} {{.StarCount}} {{.IsOfficial}}", f"{self.index}/bees").check().lines
        self.assertEqual(lines, ["bees0 nobody wants 3 0 [OK]", "bees1 nobody wants 3 10 ", "bees2 nobody wants 3 20 "])
        self.assertEqual(self.docker("search", "--filter", "is-official=true", "--format", "{{.Name}}", f"{self.index}/bees").check().lines, ["bees0"])
        self.assertEqual(len(self.docker("search", "--filter", "stars=100", "--no-trunc", "--format", "{{.Name}}", f"{self.index}/bees").check().lines), 15)
        self.assertFails(self.docker("search", f"{self.registry.name}/bees"), "Unexpected status code 404")

    def test_who_asks(self):
        auth = base64.urlsafe_b64encode(json.dumps({"username": "me", "password": "secret"}).encode()).decode()
        hits = self.search(f"term={self.index}/a", **{"X-Registry-Auth": auth}).json
        self.assertEqual((len(hits), hits[0]["description"], hits[0]["is_automated"]), (25, "Basic " + base64.b64encode(b"me:secret").decode() + " wants 25", False))
        self.assertEqual(self.search(f"term={self.index}/a", **{"X-Registry-Auth": "no base64!"}).status, 200)
        self.assertEqual(self.search(f"term={self.index}/a&filters=" + urllib.parse.quote('{"is-automated":["true"]}')).json, [])

    def test_what_cannot_be(self):
        for query, text in {"term=http://x/y": "should not have a scheme", "term=a&limit=101": "limit 101 is outside the range of [1, 100]", "term=a&limit=-1": "invalid limit specified",
                            "term=a&filters=" + urllib.parse.quote('{"stars":["x"]}'): "invalid filter 'stars=x'", "term=a&filters=" + urllib.parse.quote('{"odd":["x"]}'): "invalid filter 'odd'"}.items():
            with self.subTest(text):
                response = self.search(query)
                self.assertEqual(response.status, 400, response.body)
                self.assertIn(text, response.message)

    def test_platforms(self):
        image = self.host.inspect("alpine", "image")
        own, other = platform(os=image["Os"], architecture=image["Architecture"]), platform(os="linux", architecture="s390x")
        self.push(name=f"{self.name}/platforms:1")
        self.docker("push", "--platform", f"{image['Os']}/{image['Architecture']}", f"{self.name}/platforms:1").check()
        self.assertFails(self.docker("push", "--platform", "linux/s390x", f"{self.name}/platforms:1"), "does not match the specified platform (linux/s390x)")
        for method, path, status in (("GET", "/images/alpine/history?platform=", (200, 404)), ("GET", "/images/alpine/json?platform=", (200, 404)), ("GET", "/images/alpine/get?platform=", (200, 500))):
            with self.subTest(path):
                self.assertEqual((self.host.api(method, path + own).status, self.host.api(method, path + other).status), status)
                self.assertEqual(self.host.api(method, "/v1.45" + path + other).status, 200, "not known then")
        self.assertEqual(self.host.api("DELETE", "/images/alpine?platforms=" + other).status, 404)
        self.assertIn("cannot both be set", self.host.api("GET", f"/images/alpine/json?manifests=1&platform={own}").message)
        for text in ("{}", '{"os":"linux"}'):
            self.assertIn("both OS and Architecture must be provided", self.host.api("GET", "/images/alpine/json?platform=" + urllib.parse.quote(text)).message)
        self.assertIn("failed to parse platform", self.host.api("GET", "/images/alpine/json?platform=linux").message)

    def test_fields_of_old_lists(self):
        row = self.host.api("GET", "/v1.42/images/json").json[0]
        self.assertEqual((row["VirtualSize"], row["Containers"]), (row["Size"], -1))
        self.assertNotIn("VirtualSize", self.host.api("GET", "/images/json").json[0])
