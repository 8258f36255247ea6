#include "engine/defaults.h"

#include <doctest/doctest.h>

namespace panal {

TEST_CASE("defaults fill in what a container does not ask for") {
  ContainerDefaults d;
  d.log = {"local", {{"max-size", "1m"}, {"max-file", "3"}}};
  d.ulimits = {{"nofile", {"nofile", 10, 20}}, {"core", {"core", 0, 0}}};
  d.shm_size_bytes = 1 << 20, d.init = true, d.no_new_privileges = true, d.dns_search = {"example.org"};
  d.cgroupns_mode = "private";
  HostConfig h, privileged;
  privileged.privileged = true;
  apply_defaults(h, d), apply_defaults(privileged, d);
  CHECK(h.cgroupns_mode == "private");
  CHECK(privileged.cgroupns_mode == "host");
  CHECK(h.log_config == LogConfig{"local", {{"max-size", "1m"}, {"max-file", "3"}}});
  CHECK(h.ulimits.size() == 2);
  CHECK(h.shm_size == 1 << 20);
  CHECK(h.init == true);
  CHECK(h.security_opt == std::vector<std::string>{"no-new-privileges"});
  CHECK(h.dns_search == std::vector<std::string>{"example.org"});
}

TEST_CASE("what a container asks for stands") {
  ContainerDefaults d;
  d.log = {"local", {{"max-size", "1m"}, {"max-file", "3"}}};
  d.ulimits = {{"nofile", {"nofile", 10, 20}}};
  d.init = true, d.no_new_privileges = true, d.ipc_mode = "shareable";
  HostConfig h;
  h.log_config = {"local", {{"max-file", "9"}}};
  h.ulimits = {{"nofile", 1, 2}};
  h.cgroupns_mode = "private", h.init = false, h.security_opt = {"no-new-privileges=false"},
  h.ipc_mode = "host", h.shm_size = 77;
  apply_defaults(h, d);
  CHECK(h.log_config.config == std::map<std::string, std::string>{{"max-file", "9"}, {"max-size", "1m"}});
  CHECK(h.ulimits == std::vector<Ulimit>{{"nofile", 1, 2}});
  CHECK(h.init == false);
  CHECK(h.security_opt == std::vector<std::string>{"no-new-privileges=false"});
  CHECK(h.ipc_mode == "host");
  CHECK(h.cgroupns_mode == "private");
  CHECK(h.shm_size == 77);
  HostConfig other;
  other.log_config.type = "json-file";  // the options belong to the default driver only
  apply_defaults(other, d);
  CHECK(other.log_config.config.empty());
}

}  // namespace panal
