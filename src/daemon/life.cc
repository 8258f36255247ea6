#include "daemon/life.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "daemon/facts.h"
#include "daemon/reload.h"

namespace panal {

static sigset_t our_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int s : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, s);
  return signals;
}

void hold_signals() {
  const sigset_t signals = our_signals();
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
}

static Fd take_signals() {
  const sigset_t signals = our_signals();
  return Fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
}

Life::Life(LifeParts parts) : p_(std::move(parts)), signals_(p_.loop, take_signals()) {}

Result<> Life::run() {
  scope_.spawn(watchdog());
  scope_.spawn(start_up());
  scope_.spawn(until_signal());
  p_.loop.run();
  for (const auto& path : open_.socket_files) ::unlink(path.c_str());
  ::unlink(p_.options.pidfile.c_str());
  if (failure_) return fail(*failure_);
  return {};
}

Task<Result<>> Life::begin() {
  const bool containers_run =
      std::ranges::any_of(p_.containers.all(), [](const auto& c) { return c.second->c.state.pid > 0; });
  CO_TRYV(co_await p_.networks.setup(containers_run));
  co_await p_.api.parts().images.recover();
  co_await p_.containers.adopt();
  scope_.spawn(p_.builder.collect());
  CO_TRYV(co_await p_.swarm.resume());
  CO_TRY(open_, open_hosts(p_.options, p_.supervisor, p_.server));
  co_return Result<>{};
}

Task<void> Life::start_up() {
  if (auto begun = co_await begin(); !begun) {
    failure_ = begun.error();
    p_.loop.stop();
    co_return;
  }
  auto& warnings = p_.api.parts().facts.warnings;
  warnings.insert(warnings.end(), open_.warnings.begin(), open_.warnings.end());
  log::info("msg=\"ready\" version={} data_root={} hosts={}", PANAL_VERSION, p_.options.data_root,
            join(p_.options.hosts, ","));
  p_.supervisor.notify("READY=1\nSTATUS=ready\nMAINPID=" + std::to_string(::getpid()));
}

void Life::reload() {
  p_.supervisor.notify("RELOADING=1\nMONOTONIC_USEC=" +
                       std::to_string(p_.loop.now().time_since_epoch() / 1us));
  if (auto fresh = reread_options(p_.options)) {
    SystemFacts& facts = p_.api.parts().facts;
    take_reloadable(p_.options, *fresh);
    take_settings(facts, p_.options);
    p_.reloaded(p_.options);
    log::set_level(p_.options.level());
    auto attributes = reload_attributes(p_.options);
    attributes["name"] = facts.node_name;
    p_.events.publish("daemon", "reload", facts.id, std::move(attributes));
    log::info("msg=\"configuration reloaded\" file={}", p_.options.config_file);
  } else {
    log::error("msg=\"the configuration is not reloaded\" error=\"{}\"", fresh.error().message);
  }
  p_.supervisor.notify("READY=1");
}

// Answers no more; containers run on, or end first where the settings say so.
Task<void> Life::shut_down(uint32_t signal) {
  log::info("msg=\"stopping\" signal={}", signal);
  p_.supervisor.notify("STOPPING=1");
  p_.server.stop();
  co_await p_.containers.end_builds();
  if (!p_.options.live_restore) co_await p_.containers.stop_all(p_.options.shutdown_timeout_seconds);
  p_.containers.shutdown();
  p_.swarm.shutdown();
  p_.loop.call_after(300ms, [this] { p_.loop.stop(); });
}

Task<void> Life::until_signal() {
  for (bool stopping = false;;) {
    if (co_await signals_.readable() == AsyncFd::Ready::kClosed) co_return;
    signalfd_siginfo info{};
    if (::read(signals_.get(), &info, sizeof info) != sizeof info) continue;
    if (info.ssi_signo == SIGHUP) {
      if (!stopping) reload();
    } else if (std::exchange(stopping, true)) {
      p_.loop.stop();  // a second signal ends it at once
    } else {
      scope_.spawn(shut_down(info.ssi_signo));
    }
  }
}

Task<void> Life::watchdog() {
  while (p_.supervisor.watchdog()) {
    p_.supervisor.notify("WATCHDOG=1");
    co_await p_.loop.sleep(*p_.supervisor.watchdog());
  }
}

}  // namespace panal
