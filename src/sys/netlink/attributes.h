// Loops over netlink attributes that C++ accepts (libmnl's macros assign void*).
#pragma once
#include <libmnl/libmnl.h>

namespace panal {

template <class F>
void each_attribute(const nlmsghdr* h, size_t skip, F f) {
  const auto* end = static_cast<const char*>(mnl_nlmsg_get_payload_tail(h));
  for (const auto* a = static_cast<const nlattr*>(mnl_nlmsg_get_payload_offset(h, skip));
       mnl_attr_ok(a, static_cast<int>(end - reinterpret_cast<const char*>(a))); a = mnl_attr_next(a))
    f(a);
}
template <class F>
void each_nested(const nlattr* outer, F f) {
  const auto* end = static_cast<const char*>(mnl_attr_get_payload(outer)) + mnl_attr_get_payload_len(outer);
  for (const auto* a = static_cast<const nlattr*>(mnl_attr_get_payload(outer));
       mnl_attr_ok(a, static_cast<int>(end - reinterpret_cast<const char*>(a))); a = mnl_attr_next(a))
    f(a);
}

}  // namespace panal
