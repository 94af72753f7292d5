// A backend under test: its device, and programs compiled, loaded and run on it. Errors are sentences, never
// exceptions.
#pragma once

#include "backends/host/Backend.h"
#include "runtime/backend/Device.h"
#include "runtime/backend/Settings.h"
#include "runtime/backend/Tables.h"

#include <functional>
#include <memory>
#include <span>

namespace kiln::conformance {

/// Object blobs as code of this process: their artifact symbol's address, alive as long as the pointer; null with a
/// sentence.
using Linker = std::function<std::shared_ptr<const void>(const std::vector<host::Blob> &blobs,
                                                         const std::string &symbol, std::string &error)>;

/// A host with threads of its own.
class Threads {
public:
  explicit Threads(unsigned count, const SettingList &settings = {});
  ~Threads();
  const kiln_host &host() const;

private:
  struct State;
  std::unique_ptr<State> state_;
};

using Bytes = std::vector<uint8_t>;

/// What lies before and behind everything that a kernel is given: more than a few of the widest vectors, and a multiple
/// of what places are aligned to.
constexpr size_t guardBytes = 256;

/// What fills results and scratch before a launch: no number in any dtype of floats.
constexpr uint8_t unwritten = 0xFF;

/// A compiled program, which outlives it.
struct Artifact {
  Bytes bytes;
  std::shared_ptr<const void> linked;
  const void *data() const { return linked ? linked.get() : bytes.data(); }
  size_t size() const { return linked ? 0 : bytes.size(); }
};

bool compile(const host::Backend &backend, const Linker &linker, const kiln_target &target, const kiln_program &program,
             Artifact &artifact, std::string &error);

/// What else an execution is given.
struct How {
  const uint64_t *versions = nullptr;
  const volatile int32_t *cancel = nullptr;
  bool event = false;      ///< it may return before it is done
  uint8_t poison = 0xFF;   ///< fills the guard bytes: what is read of them by mistake is no number
  bool walled = false;     ///< arguments end where nothing can be read, if the backend takes memory that is imported
  int32_t *code = nullptr; ///< takes what came of it
};

class Session {
public:
  /// Opens device `number`. `settings`: of its options, which outlive the session. Null with a sentence.
  static std::unique_ptr<Session> open(const host::Backend &backend, unsigned number, unsigned threads,
                                       std::string &error, const SettingList &settings = {});
  ~Session();

  const kiln_run_api &api() const { return device_->api(); }
  kiln_device *device() const { return device_->handle(); }

  /// An executable of this device; null with a sentence.
  using Executable = std::unique_ptr<kiln_executable, void (*)(kiln_executable *)>;
  Executable load(const kiln_program &program, const Artifact &artifact, std::string &error);

  /// Buffers of the arguments' sizes are made, filled with the arguments, and hold after the run what they then hold.
  /// Behind each lie guard bytes that nobody may write; `before` as many before each, where the entry's places begin
  /// that far into its arguments, and likewise at both ends of the arena. Arguments before walls have no guard bytes
  /// behind them: who passes their end ends the process.
  bool run(kiln_executable *executable, uint32_t entry, int64_t arenaBytes, std::vector<Bytes> &arguments,
           std::vector<int64_t> extents, kiln_status &status, std::string &error, size_t before, const How &how);
  bool run(kiln_executable *executable, uint32_t entry, int64_t arenaBytes, std::vector<Bytes> &arguments,
           std::vector<int64_t> extents, kiln_status &status, std::string &error, size_t before = 0) {
    return run(executable, entry, arenaBytes, arguments, std::move(extents), status, error, before, How());
  }

private:
  Session() = default;
  std::unique_ptr<Threads> threads_;
  std::unique_ptr<Device> device_;
};

} // namespace kiln::conformance
