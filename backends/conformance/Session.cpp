#include "backends/conformance/Session.h"

#include "runtime/support/Error.h"
#include "runtime/threads/ThreadPool.h"

#include <cstring>

namespace kiln::conformance {

struct Threads::State {
  ThreadPool pool;
  kiln_host host{};
  explicit State(unsigned count) : pool(count) {}
};

Threads::Threads(unsigned count) : state_(std::make_unique<State>(count)) {
  kiln_host &host = state_->host;
  host.size = sizeof host;
  host.worker_count = count;
  host.self = state_.get();
  host.reader = tableReader();
  host.parallel_for = [](void *self, int64_t total, kiln_task task, void *context) {
    static_cast<State *>(self)->pool.parallelFor(total, task, context);
  };
  host.log = [](void *, int32_t, kiln_string) {};
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
                                       std::string &error) {
  std::unique_ptr<Session> session(new Session);
  try {
    session->threads_ = std::make_unique<Threads>(threads);
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

constexpr size_t guardBytes = 64;
constexpr uint8_t poison = 0xA5;

struct Buffer {
  const kiln_run_api &api;
  kiln_buffer *handle = nullptr;
  explicit Buffer(const kiln_run_api &api) : api(api) {}
  Buffer(Buffer &&other) noexcept : api(other.api), handle(std::exchange(other.handle, nullptr)) {}
  ~Buffer() {
    if (handle)
      api.release(handle);
  }
};

} // namespace

bool Session::run(kiln_executable *executable, uint32_t entry, int64_t arenaBytes, std::vector<Bytes> &arguments,
                  std::vector<int64_t> extents, kiln_status &status, std::string &error) {
  kiln_error failure = emptyError();
  auto check = [&](int32_t code, const char *what) {
    if (code == KILN_SUCCESS)
      return true;
    error = std::string(what) + ": " + messageOf(failure);
    return false;
  };
  std::vector<Buffer> buffers;
  std::vector<kiln_buffer *> handles;
  Bytes content;
  for (const Bytes &argument : arguments) {
    Buffer &buffer = buffers.emplace_back(api());
    content.assign(argument.size() + guardBytes, poison);
    std::copy(argument.begin(), argument.end(), content.begin());
    if (!check(api().allocate(device(), content.size(), &buffer.handle, &failure), "allocate") ||
        !check(api().write(buffer.handle, 0, content.data(), content.size(), &failure), "write"))
      return false;
    handles.push_back(buffer.handle);
  }
  Buffer arena(api());
  if (arenaBytes &&
      !check(api().allocate(device(), static_cast<uint64_t>(arenaBytes), &arena.handle, &failure), "allocate"))
    return false;
  status = {};
  kiln_execution execution{sizeof execution, entry, handles.data(), arena.handle, extents.data(), &status, nullptr};
  if (!check(api().execute(executable, &execution, &failure), "execute"))
    return false;
  for (size_t i = 0; i < arguments.size(); ++i) {
    content.resize(arguments[i].size() + guardBytes);
    if (!check(api().read(handles[i], 0, content.data(), content.size(), &failure), "read"))
      return false;
    for (size_t g = arguments[i].size(); g < content.size(); ++g)
      if (content[g] != poison) {
        error = "it wrote behind the end of argument " + std::to_string(i) + " (" +
                std::to_string(arguments[i].size()) + " bytes)";
        return false;
      }
    std::copy_n(content.begin(), arguments[i].size(), arguments[i].begin());
  }
  return true;
}

} // namespace kiln::conformance
