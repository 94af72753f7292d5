// A backend under test, driven through the ABI as the host would.

#include "backends/conformance/Session.h"

#include "backends/api/kiln_text.h"
#include "backends/conformance/Walled.h"
#include "runtime/support/CacheFolder.h"
#include "runtime/support/Error.h"
#include "runtime/threads/ThreadPool.h"

#include <cstring>
#include <optional>

namespace kiln::conformance {

struct Threads::State {
  ThreadPool pool;
  kiln_host host{};
  explicit State(unsigned count) : pool(count) {}
};

Threads::Threads(unsigned count, const SettingList &settings) : state_(std::make_unique<State>(count)) {
  kiln_host &host = state_->host;
  host.size = sizeof host;
  host.worker_count = count;
  host.self = state_.get();
  host.reader = tableReader();
  host.parallel_for = [](void *self, int64_t total, kiln_task task, void *context) {
    static_cast<State *>(self)->pool.parallelFor(total, task, context);
  };
  host.log = [](void *, int32_t, kiln_string) {};
  host.cache_folder = text(cacheFolder());
  settings.giveTo(host);
}

Threads::~Threads() = default;
const kiln_host &Threads::host() const { return state_->host; }

bool compile(const host::Backend &backend, const Linker &linker, const kiln_target &target, const kiln_program &program,
             Artifact &artifact, std::string &error) {
  host::Capabilities capabilities;
  std::vector<host::Blob> blobs;
  if (!backend.capabilities(target, capabilities, error) || !backend.compile(program, target, blobs, error))
    return false;
  for (host::Blob &blob : blobs)
    if (blob.kind == KILN_BLOB_BYTES) {
      artifact = {std::move(blob.bytes), nullptr};
      return true;
    }
  if (blobs.empty() || capabilities.artifactSymbol.empty()) {
    error = "the backend " + backend.name() + " compiled a program to nothing: no bytes, no objects with a symbol";
    return false;
  }
  artifact = {{}, linker(blobs, capabilities.artifactSymbol, error)};
  return artifact.linked != nullptr;
}

std::unique_ptr<Session> Session::open(const host::Backend &backend, unsigned number, unsigned threads,
                                       std::string &error, const SettingList &settings) {
  std::unique_ptr<Session> session(new Session);
  try {
    session->threads_ = std::make_unique<Threads>(threads, settings);
    session->device_ = std::make_unique<Device>(backend.tables(), session->threads_->host(), number);
  } catch (const Error &caught) {
    error = caught.what();
    return nullptr;
  }
  return session;
}

Session::~Session() = default;

Session::Executable Session::load(const kiln_program &program, const Artifact &artifact, std::string &error) {
  kiln_executable *executable = nullptr;
  kiln_error failure = emptyError();
  if (api().load(device(), &program, artifact.data(), artifact.size(), &executable, &failure) != KILN_SUCCESS) {
    error = messageOf(failure);
    executable = nullptr;
  } else if (!executable) {
    error = "load says that it succeeded and gives no executable";
  }
  return Executable(executable, api().unload);
}

namespace {

struct Buffer {
  const kiln_run_api &api;
  kiln_buffer *handle = nullptr;
  std::optional<Walled> walled; ///< what an imported one is
  explicit Buffer(const kiln_run_api &api) : api(api) {}
  Buffer(Buffer &&other) noexcept
      : api(other.api), handle(std::exchange(other.handle, nullptr)), walled(std::move(other.walled)) {}
  ~Buffer() {
    if (handle)
      api.release(handle);
  }

  /// Memory of the device's that holds `content`; false with a sentence.
  bool make(kiln_device *device, const Bytes &content, std::string &error) {
    kiln_error failure = emptyError();
    int32_t code = api.allocate(device, content.size(), &handle, &failure);
    if (code != KILN_SUCCESS) {
      error = "allocate: " + messageOf(failure);
      return false;
    }
    code = api.write(handle, 0, content.data(), content.size(), &failure);
    if (code != KILN_SUCCESS)
      error = "write: " + messageOf(failure);
    return code == KILN_SUCCESS;
  }

  /// This process's memory that holds `content`, before a wall.
  bool import(kiln_device *device, const Bytes &content, std::string &error) {
    kiln_error failure = emptyError();
    walled.emplace(content.size());
    if (!walled->data()) {
      error = "there is no memory for an operand before a wall";
      return false;
    }
    std::copy(content.begin(), content.end(), walled->data());
    int32_t code = api.import(device, walled->data(), content.size(), &handle, &failure);
    if (code != KILN_SUCCESS)
      error = "import: " + messageOf(failure);
    return code == KILN_SUCCESS;
  }
};

/// Empty where the `before` bytes and those behind the next `size` are poison still; else which are not.
std::string brokenGuard(const Bytes &content, size_t before, size_t size, uint8_t poison) {
  for (size_t i = 0; i < content.size(); ++i)
    if (content[i] != poison && i < before)
      return "before the start";
    else if (content[i] != poison && i >= before + size)
      return "behind the end";
  return "";
}

} // namespace

bool Session::run(kiln_executable *executable, uint32_t entry, int64_t arenaBytes, std::vector<Bytes> &arguments,
                  std::vector<int64_t> extents, kiln_status &status, std::string &error, size_t before,
                  const How &how) {
  kiln_error failure = emptyError();
  auto check = [&](int32_t code, const char *what) {
    if (code == KILN_SUCCESS)
      return true;
    error = std::string(what) + ": " + messageOf(failure);
    return false;
  };
  bool walls = how.walled && device_->hostMemory();
  size_t behind = walls ? 0 : guardBytes;
  std::vector<Buffer> buffers;
  std::vector<kiln_buffer *> handles;
  Bytes content;
  for (const Bytes &argument : arguments) {
    Buffer &buffer = buffers.emplace_back(api());
    content.assign(before + argument.size() + behind, how.poison);
    std::copy(argument.begin(), argument.end(), content.begin() + static_cast<int64_t>(before));
    if (!(walls ? buffer.import(device(), content, error) : buffer.make(device(), content, error)))
      return false;
    handles.push_back(buffer.handle);
  }
  Buffer arena(api());
  content.assign(static_cast<size_t>(arenaBytes), how.poison);
  if (arenaBytes)
    std::fill(content.begin() + static_cast<int64_t>(before), content.end() - static_cast<int64_t>(before), unwritten);
  if (arenaBytes && !arena.make(device(), content, error))
    return false;
  status = {};
  kiln_event *event = nullptr;
  kiln_execution execution{};
  execution.size = sizeof execution;
  execution.entry = entry;
  execution.buffers = handles.data();
  execution.arena = arena.handle;
  execution.extents = extents.data();
  execution.status = &status;
  execution.event = how.event ? &event : nullptr;
  execution.versions = how.versions;
  execution.cancel = how.cancel;
  int32_t code = api().execute(executable, &execution, &failure);
  // All but status, buffers and arena is the host's again.
  std::fill(extents.begin(), extents.end(), -1);
  execution = {};
  handles.assign(handles.size(), nullptr);
  if (code == KILN_SUCCESS && event)
    code = api().wait(event, &failure);
  if (how.code)
    *how.code = code;
  if (!check(code, "execute"))
    return false;
  for (size_t i = 0; i < handles.size(); ++i)
    handles[i] = buffers[i].handle;
  auto intact = [&](kiln_buffer *buffer, size_t lead, size_t size, size_t behind, const std::string &what) {
    content.resize(lead + size + behind);
    if (!check(api().read(buffer, 0, content.data(), content.size(), &failure), "read"))
      return false;
    if (std::string broken = brokenGuard(content, lead, size, how.poison); !broken.empty())
      error = "it wrote " + broken + " of " + what + " (" + std::to_string(size) + " bytes)";
    return error.empty();
  };
  error.clear();
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (!intact(handles[i], before, arguments[i].size(), behind, "argument " + std::to_string(i)))
      return false;
    std::copy_n(content.begin() + static_cast<int64_t>(before), arguments[i].size(), arguments[i].begin());
  }
  return !before || !arenaBytes ||
         intact(arena.handle, before, static_cast<size_t>(arenaBytes) - 2 * before, before, "its scratch");
}

} // namespace kiln::conformance
