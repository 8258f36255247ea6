#include "daemon/reload.h"

#include "base/json.h"

namespace panal {

void take_reloadable(DaemonOptions& now, const DaemonOptions& fresh) {
  now.debug = fresh.debug, now.log_level = fresh.log_level, now.labels = fresh.labels,
  now.live_restore = fresh.live_restore;
  now.registry_mirrors = fresh.registry_mirrors, now.insecure_registries = fresh.insecure_registries;
  now.max_concurrent_downloads = fresh.max_concurrent_downloads,
  now.max_concurrent_uploads = fresh.max_concurrent_uploads;
  now.max_download_attempts = fresh.max_download_attempts,
  now.shutdown_timeout_seconds = fresh.shutdown_timeout_seconds;
}

std::map<std::string, std::string> reload_attributes(const DaemonOptions& o) {
  const auto text = [](bool on) { return on ? "true" : "false"; };
  return {{"debug", text(o.debug)},
          {"labels", to_text(o.labels)},
          {"live-restore", text(o.live_restore)},
          {"registry-mirrors", to_text(o.registry_mirrors)},
          {"insecure-registries", to_text(o.insecure_registries)},
          {"max-concurrent-downloads", std::to_string(o.max_concurrent_downloads)},
          {"max-concurrent-uploads", std::to_string(o.max_concurrent_uploads)},
          {"max-download-attempts", std::to_string(o.max_download_attempts)},
          {"shutdown-timeout", std::to_string(o.shutdown_timeout_seconds)},
          {"default-runtime", o.default_runtime}};
}

}  // namespace panal
