// Files on panal-unpack, which sees nothing but the container it works for.
#pragma once
#include "ports/files.h"
#include "sys/loop/asio_loop.h"

namespace panal {

class ConfinedFiles final : public Files {
 public:
  ConfinedFiles(AsioLoop& loop, std::string helper) : loop_(loop), helper_(std::move(helper)) {}
  Task<Result<std::string>> stat(Tree tree, std::string path) override;
  Task<Result<>> read(Tree tree, std::string path, std::function<Task<Result<>>(std::string stat)> begin,
                      Sink sink) override;
  Task<Result<>> write(Tree tree, std::string path, Placing placing, Source source) override;
  Task<Result<>> export_root(Tree tree, Sink sink) override;
  Task<Result<>> layer(std::string upper, std::optional<int64_t> epoch, Sink sink) override;
  Task<Result<>> changes(std::string upper, std::vector<std::string> layers, Sink sink) override;
  Task<Result<CopyDigest>> digest(CopyWish wish) override;
  Task<Result<>> copy_layer(std::string base, CopyWish wish, Sink sink) override;

 private:
  AsioLoop& loop_;
  std::string helper_;
};

}  // namespace panal
