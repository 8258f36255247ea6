"""The house checkers on small temporary trees: what is wrong must be found, what is right must pass."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

import coroutines
import cpp_text
import floors
import names
import ratchet

HERE = os.path.dirname(os.path.abspath(__file__))


class Tree(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="panal-house-")
        self.addCleanup(folder.cleanup)
        self.root = folder.name

    def write(self, path, content):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8", newline="") as file:
            file.write(content)

    def script(self, name, *arguments):
        return subprocess.run([sys.executable, os.path.join(HERE, name), "--root", self.root, *arguments],
                              capture_output=True, text=True, timeout=60, check=False)


class Floors(Tree):
    def errors(self, path, content):
        self.write(path, content)
        return floors.check(self.root)[1]

    def assert_arrow(self, path, content, expected):
        errors = self.errors(path, content)
        self.assertEqual(len(errors), 1, errors)
        self.assertIn(expected, errors[0])

    def test_table_has_no_circle_and_names_only_floors(self):
        self.assertEqual(floors.table_errors(floors.FLOORS), [])

    def test_circle_in_table_is_found(self):
        self.assertIn("circle", floors.table_errors({"a": ["b"], "b": ["a"]})[0])
        self.assertIn("no such floor", floors.table_errors({"a": ["b"]})[0])

    def test_good_tree(self):
        self.write("src/base/result.h", "#pragma once\n#include <expected>\n")
        self.write("src/model/service.h", '#include "base/result.h"\n#include "model/id.h"\n')
        self.write("src/sys/rpc/server.cc", '#include "ports/transport.h"\n#include <boost/asio/ip/tcp.hpp>\n')
        self.write("src/daemon/main.cc", '#include "sys/rpc/server.h"\n#include "node/cluster/worker.h"\n#include <thread>\n')
        self.write("src/store/table.cc", '#include "table.h"\n#include "raft/log.h"\n#include "table.pb.h"\n')
        self.write("src/store/table.h", "#pragma once\n")
        self.assertEqual(floors.check(self.root), (6, []))

    def test_upward(self):
        self.assert_arrow("src/model/a.cc", '// top\n#include "swarm/plan.h"\n', "src/model/a.cc:2: model -> swarm")

    def test_sideways(self):
        self.assert_arrow("src/engine/a.h", '#include "network/ipam.h"\n', "src/engine/a.h:1: engine -> network")

    def test_swarm_and_build_do_not_know_each_other(self):
        self.assert_arrow("src/swarm/a.cc", '#include "dockerfile/b.h"\n', "swarm -> dockerfile")

    def test_node_never_uses_sys(self):
        self.assert_arrow("src/node/a.cc", '#include "sys/http/client.h"\n', "node -> sys")

    def test_unit_tests_obey(self):
        self.assert_arrow("src/node/a_test.cc", '#include "sys/http/client.h"\n', "src/node/a_test.cc:1: node -> sys")

    def test_api_never_uses_sys(self):
        self.assert_arrow("src/api/a.cc", '#include "sys/http/client.h"\n', "api -> sys")

    def test_relative_and_src_paths_do_not_hide_an_arrow(self):
        self.write("src/swarm/b.h", "")
        self.assert_arrow("src/base/a.cc", '#include "../swarm/b.h"\n', "base -> swarm")
        self.assert_arrow("src/base/a.cc", '#include "src/swarm/b.h"\n', "base -> swarm")
        self.assert_arrow("src/base/a.cc", "#  include <swarm/b.h>\n", "base -> swarm")

    def test_unpack_uses_a_part_of_sys(self):
        self.assertEqual(self.errors("src/unpack/a.cc", '#include "sys/http/client.h"\n'), [])
        self.assert_arrow("src/unpack/a.cc", '#include "sys/nft/rules.h"\n', "unpack -> sys/nft")

    def test_library_outside_its_rooms(self):
        for header in ("boost/asio.hpp", "boost/asio/post.hpp", "boost/beast/http.hpp", "nghttp2/nghttp2.h",
                       "libmnl/libmnl.h", "sqlite3.h", "openssl/ssl.h", "raft.h", "sys/socket.h", "thread", "mutex"):
            self.assert_arrow("src/engine/a_test.cc", f"#include <{header}>\n", f"engine -> <{header}>")
        self.assert_arrow("src/engine/a_test.cc", '#include "boost/asio.hpp"\n', "engine -> <boost/asio.hpp>")
        self.assertEqual(self.errors("src/engine/a_test.cc", "#include <boost/json.hpp>\n#include <threads.h>\n"), [])

    def test_comments_and_raw_strings_are_no_includes(self):
        text = '// #include "swarm/a.h"\n/*\n#include "swarm/a.h"\n*/\nauto x = R"y(\n#include "swarm/a.h"\n)y";\n'
        self.assertEqual(self.errors("src/base/a.cc", text), [])

    def test_include_after_a_tricky_literal_is_seen(self):
        text = "int a = 1'000; char b = '\"'; auto c = \"/*\";\n#include \"swarm/a.h\"\n"
        self.assert_arrow("src/base/a.cc", text, "src/base/a.cc:2: base -> swarm")

    def test_macro_include_and_unplaced_include_fail(self):
        self.assert_arrow("src/base/a.cc", "#include HEADER\n", "through a macro")
        self.assert_arrow("src/base/a.cc", '#include "nowhere.h"\n', "cannot place")

    def test_unknown_floor_and_loose_file_fail(self):
        self.assert_arrow("src/attic/a.cc", "", "src/attic: unknown floor")
        self.write("src/attic/a.cc", "")
        self.write("src/main.cc", "")
        self.assertIn("src/main.cc:1", floors.check(self.root)[1][0])

    def test_proto_imports_count(self):
        self.assert_arrow("src/model/a.proto", 'import "google/protobuf/any.proto";\nimport "swarm/b.proto";\n',
                          "src/model/a.proto:2: model -> swarm")

    @unittest.skipUnless(floors.shadowed("src/sys/mount.h"), "no libc headers here")
    def test_shadowed_system_header_fails(self):
        self.assert_arrow("src/sys/mount.h", "", "include path")

    def test_nothing_to_read_fails(self):
        self.assertIn("nothing was checked", floors.check(self.root)[1][0])

    def test_exit_status(self):
        self.write("src/base/a.cc", '#include "node/a.h"\n')
        bad = self.script("floors.py")
        self.assertEqual((bad.returncode, bad.stdout.splitlines()[0].split(": include")[0]),
                         (1, "src/base/a.cc:1: base -> node"))
        self.write("src/base/a.cc", "")
        self.assertEqual(self.script("floors.py").returncode, 0)


def function(name, lines):
    return f"void {name}() {{\n" + "  step();\n" * (lines - 2) + "}\n"


class Functions(unittest.TestCase):
    def found(self, text):
        return [(name, size) for name, _, size in ratchet.functions(text)]

    def test_plain_members_and_namespaces(self):
        text = ("namespace panal::base {\nclass A : public B<int> {\n public:\n  explicit A(int x) : x_{x}, y_(2) {\n"
                "  }\n  int get() const { return x_; }\n private:\n  int x_{0};\n};\n"
                "template <class T, int N = (1 > 0)>\nResult<T> A::make(std::function<void(int)> f = {}) {\n}\n}\n")
        self.assertEqual(self.found(text), [("A::A", 2), ("A::get", 1), ("A::make", 3)])

    def test_initialiser_braces_are_not_the_body(self):
        self.assertEqual(self.found("A::A()\n    : a_{1},\n      b_{2} {\n  x();\n}\n"), [("A::A", 5)])

    def test_data_is_not_a_function(self):
        text = ("constexpr std::array<int, 2> kA = {\n1,\n2};\nenum class E : int {\nkA,\n};\n"
                "const std::map<int, int> kB{\n{1, f(2)},\n};\nconcept C = requires(T t) {\nt.x();\n};\n")
        self.assertEqual(self.found(text), [])

    def test_lambda_operator_test_case_and_extern(self):
        text = ('const auto kParse = [](int a) {\n};\nbool operator==(const A& a, const A& b) {\n}\n'
                'TEST_CASE("a (title) {") {\n}\nextern "C" {\nint go(void) {\n}\n}\n'
                'extern "C" int LLVMFuzzerTestOneInput(const char* d) {\n}\nstruct stat look(int a) {\n}\n'
                'std::function<void(int)> maker(int a) {\n}\n')
        self.assertEqual([n for n, _ in self.found(text)],
                         ["kParse", "operator==", 'TEST_CASE "a (title) {"', "go", "LLVMFuzzerTestOneInput", "look", "maker"])

    def test_braces_in_literals_comments_and_branches(self):
        text = ('void a() {\n  x("}", \'}\', R"(})"); // }\n  /* } */\n#if A\n  if (b) {\n#else\n  if (c) {\n#endif\n  }\n}\n'
                "void b() {\n}\n")
        self.assertEqual(self.found(text), [("a", 10), ("b", 2)])


class Ratchet(Tree):
    def setUp(self):
        super().setUp()
        self.baseline = os.path.join(self.root, "ratchet.json")

    def run_it(self, *arguments):
        return self.script("ratchet.py", "--baseline", self.baseline, *arguments)

    def check(self):
        return ratchet.check(self.root, self.baseline)

    def test_at_the_limit_passes(self):
        self.write("src/base/a.cc", "int a;\n" * 400)
        self.write("src/base/a.h", "int a;\n" * 200)
        self.write("src/base/b.cc", function("fits", 70))
        for number in range(17):
            self.write(f"src/base/c{number}.h", "")
        self.write("src/base/a_test.cc", "")  # tests do not fill a folder
        self.assertEqual(self.check()[1:], ([], [], []))

    def test_over_the_limit_fails(self):
        self.write("src/base/a.cc", "int a;\n" * 401)
        self.write("src/base/a.h", "int a;\n" * 201)
        self.write("src/base/b.cc", "int a;\n" + function("too_long", 71))
        for number in range(18):
            self.write(f"src/base/c{number}.h", "")
        errors = "\n".join(self.check()[1])
        for expected in ("src/base/a.cc: has 401", "src/base/a.h: has 201", "src/base/b.cc:2: too_long has 71",
                         "src/base: has 21 files"):
            self.assertIn(expected, errors)
        self.assertEqual(len(errors.splitlines()), 4)

    def test_generated_code_is_not_measured(self):
        self.write("src/base/a.pb.h", "int a;\n" * 999)
        self.write("src/base/a.h", "")
        self.assertEqual(self.check()[1], [])

    def test_known_giant_may_stay_but_not_grow(self):
        self.write("src/base/a.cc", "int a;\n" * 500)
        self.assertEqual(self.run_it().returncode, 1)
        self.assertEqual(self.run_it("--update").returncode, 1)  # --update alone adds nothing
        self.assertEqual(self.run_it("--update", "--allow-new").returncode, 0)
        self.assertEqual(self.run_it().returncode, 0)
        self.write("src/base/a.cc", "int a;\n" * 501)
        self.assertIn("grew from 500 to 501", self.run_it().stdout)
        self.assertEqual(self.run_it("--update").returncode, 1)  # and raises nothing

    def test_update_lowers_and_drops(self):
        self.write("src/base/a.cc", "int a;\n" * 500)
        self.write("src/base/b.cc", function("long_one", 90))
        self.run_it("--update", "--allow-new")
        self.write("src/base/a.cc", "int a;\n" * 450)
        self.write("src/base/b.cc", function("long_one", 20))
        shrunk = self.run_it()
        self.assertEqual(shrunk.returncode, 0)
        self.assertIn("note: src/base/a.cc: shrank", shrunk.stdout)
        self.run_it("--update")
        with open(self.baseline, encoding="utf-8") as file:
            self.assertEqual(json.load(file), {"files": {"src/base/a.cc": 450}, "folders": {}, "functions": {}})
        self.write("src/base/a.cc", "int a;\n" * 451)
        self.assertEqual(self.run_it().returncode, 1)

    def test_nothing_to_read_fails_and_keeps_the_baseline(self):
        self.assertIn("nothing was measured", self.check()[1][0])
        self.write("ratchet.json", '{"files": {"src/a.cc": 500}}')
        self.assertEqual(self.run_it("--update").returncode, 1)
        with open(self.baseline, encoding="utf-8") as file:
            self.assertIn("500", file.read())

    def test_type_names(self):
        self.write("src/base/a.h", "class VolumeManager;\nstruct StringUtils {};\nclass Impl final : A {};\n"
                                   "struct [[nodiscard]] RequestHandler : B {};\nstruct A::DateHelper {\n};\n"
                                   "template <> struct ReaderImpl<int> {};\n")
        errors = self.check()[2]
        self.assertEqual([e.split(":")[1] for e in errors], ["1", "2", "3", "4", "5", "7"])
        self.assertEqual(self.run_it().returncode, 1)

    def test_good_type_names(self):
        self.write("src/base/a.h", "class Manager {};\nstruct ManagerStatus {};\nclass ImplicitLimit {};\nstruct Handle {};\n"
                                   "// class FooHelper {};\ntemplate <class Handler> void on(Handler h);\n"
                                   "class Utilization;\nauto x = \"class FooHelper {};\";\n")
        self.assertEqual(self.check()[2], [])


class Coroutines(Tree):
    def errors(self, text):
        self.write("src/node/a.cc", text)
        return coroutines.check(self.root)[1]

    def test_called_where_it_stands(self):
        self.assertEqual(len(self.errors("void f() {\n  scope.spawn([this, x = g({1})]() -> Task<void> {\n    if (x) { co_await y(); }\n  }());\n}\n")), 1)
        self.assertEqual(len(self.errors("co_await [&](int n) mutable -> Task<Result<>> { co_return {}; }(2);\n")), 1)

    def test_named_or_without_captures(self):
        self.assertEqual(self.errors("auto f = [&]() -> Task<void> { co_return; };\nco_await f();\nspawn([](int n) -> Task<void> { co_return; }(1));\n"), [])
        self.assertEqual(self.errors("each([&](int n) -> Task<void> { co_return; });\nint n = a[0](1);\n"), [])


class Names(Tree):
    registry = ".".join(["registry", "npm" + "js", "org"])
    mirror = ".".join(["ftp", "de", "debian", "org"])

    def test_list_is_found_with_what_is_below(self):
        self.assertIsNotNone(names.registry_of(self.registry))
        self.assertIsNotNone(names.registry_of(self.mirror.upper()))
        self.assertIsNone(names.registry_of("www.debian.org"))
        self.assertIsNone(names.registry_of("docker.io"))
        for listed in names.REGISTRIES:
            self.assertIsNotNone(names.registry_of(".".join(listed).replace("*", "xx")))

    def test_registry_fails_anywhere(self):
        for content in (f"see https://{self.registry}/left-pad", f"x={self.mirror}:80", f"*.{self.registry}",
                        self.registry.replace(".", "\\."), f"a\n_{self.registry}\n"):
            self.write("docs/a.md", content)
            _, hosts, _ = names.check(self.root)
            self.assertEqual(len(hosts), 1, content)
        self.assertIn("docs/a.md:2: ", hosts[0])

    def test_image_registries_and_lookalikes_pass(self):
        self.write("src/image/a.cc", 'auto a = "docker.io"; auto b = "registry-1.docker.io"; // my' + self.registry[9:] + ".example\n")
        self.assertEqual(names.check(self.root), (1, [], []))

    def test_ascii(self):
        for path in ("src/base/a.cc", "CMakeLists.txt", "web/app.ts"):
            self.write(path, "a\nb \u2026\n")
        self.write("scripts/setup", "#!/bin/sh\necho \u2026\n")
        for path in ("docs/a.md", "README.md", "test/golden/a.txt", "test/sim/a.cc", "src/base/a_test.cc", "examples/a.txt"):
            self.write(path, "\u2026\n")
        errors = names.check(self.root)[2]
        self.assertEqual([e.split(": ")[0] for e in errors],
                         ["CMakeLists.txt:2:3", "scripts/setup:2:6", "src/base/a.cc:2:3", "web/app.ts:2:3"])

    def test_git_decides_what_belongs_to_the_repository(self):
        subprocess.run(["git", "init", "-q", self.root], check=True, capture_output=True)
        self.write(".gitignore", "dockerfile/\n")
        self.write("dockerfile/a.txt", self.registry)
        self.write("new.txt", self.registry)
        _, hosts, _ = names.check(self.root)
        self.assertEqual([h.split(":")[0] for h in hosts], ["new.txt"])

    def test_exit_status(self):
        self.write("a.txt", self.registry)
        self.assertEqual(self.script("names.py").returncode, 1)
        self.write("a.txt", "fine")
        self.assertEqual(self.script("names.py").returncode, 0)

    def test_nothing_to_read_fails(self):
        self.assertEqual(self.script("names.py").returncode, 1)


class Text(unittest.TestCase):
    def test_offsets_and_lines_stay(self):
        text = 'a /* x\ny */ "s\\"t" // c \\\n d\n\'\\\'\' 1\'000 u8\'x\' R"(\n")" end\n'
        clean = cpp_text.blank(text)
        self.assertEqual(len(clean), len(text))
        self.assertEqual([i for i, c in enumerate(clean) if c == "\n"], [i for i, c in enumerate(text) if c == "\n"])
        self.assertEqual(clean.split(), ["a", "1'000", "u8", "end"])


if __name__ == "__main__":
    unittest.main()
