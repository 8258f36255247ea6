#include "sys/crun/slim_library.h"

#include <doctest/doctest.h>

#include <filesystem>

namespace panal {

namespace {

struct Trial {
  std::string folder = std::filesystem::temp_directory_path() / ("panal-slim-" + std::to_string(::getpid())),
              library = folder + "/slim.so", first = folder + "/first", second = folder + "/second";
  AsioLoop loop;
  Scope scope, trials;
  Trial() {
    REQUIRE(make_dirs(folder));
    REQUIRE(write_file(library, ""));
    const std::string accepts = "#!/bin/sh\n[ \"$LD_PRELOAD $LD_BIND_NOW\" = '" + library + " 1' ]\n";
    for (const auto& program : {first, second}) REQUIRE(write_file(program, accepts, 0755));
  }
  ~Trial() { (void)remove_tree(folder); }
  void run(std::function<Task<void>()> test) {
    scope.spawn([](Trial& t, auto test) -> Task<void> {
      co_await test();
      co_await t.trials.join();
      t.loop.post([&t] { t.loop.stop(); });
    }(*this, std::move(test)));
    loop.run();
  }
  static std::vector<std::string> given(SlimLibrary& slim) {
    Spawn what;
    slim.give(what);
    return what.env;
  }
};

}  // namespace

TEST_CASE("programs are given the library when all of them have started with it") {
  Trial t;
  SlimLibrary slim(t.loop, t.trials, t.library, {t.first, t.second});
  t.run([&]() -> Task<void> {
    slim.prepare();
    CHECK(Trial::given(slim).empty());
    co_await t.trials.join();
    CHECK(Trial::given(slim) == std::vector<std::string>{"LD_PRELOAD=" + t.library});
  });
}

TEST_CASE(
    "a program that lacks something in the library is given none, until another version starts with it") {
  Trial t;
  REQUIRE(write_file(t.second, "#!/bin/sh\nexit 127\n", 0755));
  SlimLibrary slim(t.loop, t.trials, t.library, {t.first, t.second});
  t.run([&]() -> Task<void> {
    slim.prepare();
    co_await t.trials.join();
    CHECK(Trial::given(slim).empty());
    CHECK(write_file_atomic(t.second, "#!/bin/sh\nexit 0\n", 0755));  // as a package manager does it
    CHECK(Trial::given(slim).empty());                                // this one begins the next trial
    co_await t.trials.join();
    CHECK(Trial::given(slim).size() == 1);
    ::unlink(t.library.c_str());
    CHECK(Trial::given(slim).empty());
  });
}

TEST_CASE("a library that the loader could not be told of is not used") {
  Trial t;
  const std::string odd = t.folder + "/a b.so";
  REQUIRE(write_file(odd, ""));
  SlimLibrary slim(t.loop, t.trials, odd, {"/bin/true"});
  t.run([&]() -> Task<void> {
    slim.prepare();
    co_await t.trials.join();
    CHECK(Trial::given(slim).empty());
  });
}

}  // namespace panal
