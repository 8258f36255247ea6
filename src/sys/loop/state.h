// Internal to sys/loop: the Asio objects behind AsioLoop.
#pragma once
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

namespace panal {
namespace asio = boost::asio;

struct LoopContext {
  asio::io_context io{1};
};

class AsioLoop;
LoopContext& context_of(AsioLoop& loop);

}  // namespace panal
