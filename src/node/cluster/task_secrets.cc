// Secrets and configs of a task, as files in memory that are bound into its container.
#include <sys/stat.h>

#include "base/fd.h"
#include "node/cluster/task_executor.h"

namespace panal {

Task<Result<>> TaskExecutor::write_secrets(const ClusterTask& t, HostConfig& host) {
  const auto place = [&](const std::vector<NamedReference>& refs, const std::vector<SecretObject>& have,
                         const std::string& kind, const std::string& root) -> Result<> {
    for (const auto& r : refs) {
      const SecretObject* object = nullptr;
      for (const auto& o : have)
        if (o.meta.id == r.id) object = &o;
      if (!object) return fail(Code::kNotFound, kind + " " + r.name + " not found on this node");
      const std::string dir = parts_.secrets_dir + "/" + t.meta.id + "/" + kind;
      TRYV(make_dirs(dir, 0700));
      const std::string file =
          dir + "/" +
          std::to_string(host.mounts.size());  // one object may be asked for twice, with different owners
      TRYV(write_file(file, object->data, static_cast<int>(r.mode & 0777)));
      ::chmod(file.c_str(), r.mode & 07777);
      const auto outside = [](const std::vector<IdRange>& map, const std::string& id) {
        const auto number = static_cast<uint32_t>(std::atoi(id.c_str()));
        return map.empty() ? number : id_outside(map, number).value_or(0);
      };
      (void)!::chown(file.c_str(), outside(parts_.ids.uids, r.uid), outside(parts_.ids.gids, r.gid));
      const std::string target = r.file_name.starts_with('/') ? r.file_name : root + r.file_name;
      Mount m;
      m.type = "bind", m.source = file, m.target = target, m.read_only = true;
      host.mounts.push_back(std::move(m));
    }
    return {};
  };
  CO_TRYV(place(t.spec.container.secrets, now_.secrets, "secret", "/run/secrets/"));
  co_return place(t.spec.container.configs, now_.configs, "config", "/");
}

}  // namespace panal
