#include "network/bridge_options.h"

#include <doctest/doctest.h>

namespace panal {

static const std::string kBridge = "com.docker.network.bridge.";

TEST_CASE("a bridge's options mean what Docker's mean") {
  const auto plain = read_bridge_options({});
  CHECK((plain->icc && plain->masquerade && plain->mtu == 1500 && plain->interface_prefix == "eth" &&
         !plain->routed4));
  const auto o = read_bridge_options({{kBridge + "enable_icc", "False"},
                                      {kBridge + "enable_ip_masquerade", "0"},
                                      {kBridge + "host_binding_ipv4", "127.0.0.1"},
                                      {kBridge + "name", "br-own"},
                                      {kBridge + "gateway_mode_ipv4", "routed"},
                                      {kBridge + "gateway_mode_ipv6", "nat"},
                                      {"com.docker.network.driver.mtu", "1400"},
                                      {"com.docker.network.container_iface_prefix", "lan"}});
  REQUIRE(o.has_value());
  CHECK((!o->icc && !o->masquerade && o->host_binding == "127.0.0.1" && o->name == "br-own" && o->routed4 &&
         !o->routed6 && o->mtu == 1400 && o->interface_prefix == "lan"));
}

TEST_CASE("a bridge's options that mean nothing are refused") {
  for (const auto& [key, value] :
       std::map<std::string, std::string>{{kBridge + "enable_icc", "maybe"},
                                          {"com.docker.network.driver.mtu", "big"},
                                          {kBridge + "host_binding_ipv4", "::1"},
                                          {kBridge + "name", "a/b"},
                                          {kBridge + "gateway_mode_ipv4", "magic"},
                                          {"com.docker.network.container_iface_prefix", "much-too-long"}}) {
    CAPTURE(key);
    CHECK(read_bridge_options({{key, value}}).error().code == Code::kInvalid);
  }
  CHECK(read_bridge_options({{kBridge + "trusted_host_interfaces", "eth0"}}).error().code ==
        Code::kUnsupported);
  CHECK(read_bridge_options({{kBridge + "gateway_mode_ipv4", "isolated"}}).error().code ==
        Code::kUnsupported);
}

}  // namespace panal
