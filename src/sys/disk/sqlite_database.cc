#include "sys/disk/sqlite_database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include "base/fd.h"

namespace panal {

namespace {

// On a full disk people remove things, and each removal must be written down first.
constexpr off_t kReserveBytes = 1 << 20;

class SqliteDatabase final : public Database {
 public:
  SqliteDatabase(sqlite3* db, const std::string& path) : db_(db), reserve_(path + ".reserve") {
    keep_reserve();
  }
  ~SqliteDatabase() override {
    sqlite3_finalize(put_);
    sqlite3_finalize(erase_);
    sqlite3_close(db_);
  }

  Result<> prepare() {
    if (sqlite3_prepare_v2(db_,
                           "INSERT INTO rows VALUES(?1,?2,?3) ON CONFLICT(kind,id) DO UPDATE SET json=?3", -1,
                           &put_, nullptr) != SQLITE_OK ||
        sqlite3_prepare_v2(db_, "DELETE FROM rows WHERE kind=?1 AND id=?2", -1, &erase_, nullptr) !=
            SQLITE_OK)
      return error("prepare");
    return {};
  }

  std::unexpected<Error> error(std::string_view what) {
    return fail(Code::kInternal, "local database: " + std::string(what) + ": " + sqlite3_errmsg(db_));
  }

  Result<> step(sqlite3_stmt* statement, const std::string& kind, const std::string& id,
                const std::string* json) {
    sqlite3_bind_text(statement, 1, kind.data(), static_cast<int>(kind.size()), SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, id.data(), static_cast<int>(id.size()), SQLITE_STATIC);
    if (json) sqlite3_bind_text(statement, 3, json->data(), static_cast<int>(json->size()), SQLITE_STATIC);
    code_ = sqlite3_step(statement);
    Result<> result;
    if (code_ != SQLITE_DONE) result = error("write");
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return result;
  }

  // On the loop's thread: with synchronous=NORMAL a write is a memcpy and one pwrite, tens of microseconds;
  // only a checkpoint (every 1000 pages) waits for the disk. So writes keep program order without a queue.
  Task<Result<>> put(std::string kind, std::string id, std::string json) override {
    co_return step(put_, kind, id, &json);
  }
  Task<Result<>> erase(std::string kind, std::string id) override {
    auto erased = step(erase_, kind, id, nullptr);
    if (!erased && code_ == SQLITE_FULL && ::unlink(reserve_.c_str()) == 0)
      erased = step(erase_, kind, id, nullptr);
    else if (erased && !exists(reserve_))
      keep_reserve();
    co_return erased;
  }

  Result<std::vector<std::pair<std::string, std::string>>> all(const std::string& kind) override {
    std::vector<std::pair<std::string, std::string>> out;
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(db_, "SELECT id,json FROM rows WHERE kind=?1 ORDER BY rowid", -1, &statement,
                           nullptr) != SQLITE_OK)
      return error("read");
    sqlite3_bind_text(statement, 1, kind.data(), static_cast<int>(kind.size()), SQLITE_STATIC);
    const auto text = [&](int column) {
      const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement, column));
      const int size = sqlite3_column_bytes(statement, column);
      return bytes ? std::string(bytes, static_cast<size_t>(size)) : std::string();
    };
    int result = SQLITE_ROW;
    while ((result = sqlite3_step(statement)) == SQLITE_ROW) out.emplace_back(text(0), text(1));
    const auto failed = error("read");
    sqlite3_finalize(statement);
    // Half a table must not pass for a whole one: what no row names is collected as garbage.
    if (result != SQLITE_DONE) return failed;
    return out;
  }

 private:
  void keep_reserve() {
    const Fd fd(::open(reserve_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    if (fd && ::posix_fallocate(fd.get(), 0, kReserveBytes) != 0) ::unlink(reserve_.c_str());
  }

  sqlite3* db_;
  const std::string reserve_;  // a file of no content
  int code_ = SQLITE_OK;       // of the last write
  sqlite3_stmt *put_ = nullptr, *erase_ = nullptr;
};

}  // namespace

Result<std::unique_ptr<Database>> open_database(const std::string& path) {
  sqlite3* db = nullptr;
  if (sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                      nullptr) != SQLITE_OK) {
    const std::string message = sqlite3_errmsg(db);
    sqlite3_close(db);
    return fail(Code::kInternal, "open local database " + path + ": " + message);
  }
  auto database = std::make_unique<SqliteDatabase>(db, path);
  sqlite3_busy_timeout(db, 5000);
  const char* setup =
      "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; "  // in this order no -shm file is needed
      "PRAGMA synchronous=NORMAL; PRAGMA cache_size=-256;"
      "CREATE TABLE IF NOT EXISTS rows(kind TEXT NOT NULL, id TEXT NOT NULL, json TEXT NOT NULL, PRIMARY "
      "KEY(kind,id));";
  if (sqlite3_exec(db, setup, nullptr, nullptr, nullptr) != SQLITE_OK)
    return database->error("set up " + path);
  if (auto ready = database->prepare(); !ready) return std::unexpected(ready.error());
  return std::unique_ptr<Database>(std::move(database));
}

}  // namespace panal
