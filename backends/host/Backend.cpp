// A backend's tables behind C++ types, every answer checked.

#include "backends/host/Backend.h"

#include "backends/api/kiln_text.h"
#include "runtime/backend/Tables.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <dlfcn.h>
#include <filesystem>
#include <fstream>
#include <thread>

namespace kiln::host {

namespace {

/// What a callback may do: be called on the thread that made the call, before the call is over. Late calls find a
/// guard that outlives the call.
class Guard {
public:
  Guard() : thread_(std::this_thread::get_id()) {}
  /// False, and the call is spoilt, where this is not allowed.
  bool enter() {
    if (std::this_thread::get_id() == thread_)
      return true;
    spoilt_ = true;
    return false;
  }
  bool spoilt() const { return spoilt_; }

private:
  std::thread::id thread_;
  std::atomic<bool> spoilt_ = false;
};

struct Claiming {
  Guard guard;
  const kiln_kernel &kernel;
  Answer &answer;
  std::string error;

  static void take(void *self, const uint32_t *ops, size_t count, const kiln_terms *terms) {
    auto &claiming = *static_cast<Claiming *>(self);
    if (!claiming.guard.enter())
      return;
    Answer::Part part;
    if (ops)
      part.ops.assign(ops, ops + count);
    else
      for (uint32_t op = 0; op < claiming.kernel.op_count; ++op)
        part.ops.push_back(op);
    if (terms && KILN_HAS(terms, kiln_terms, scratch_bytes))
      part.scratchBytes = terms->scratch_bytes;
    if (terms && KILN_HAS(terms, kiln_terms, form.size))
      part.form = toString(terms->form);
    claiming.add(std::move(part));
  }

  static void refuse(void *self, uint32_t op, kiln_string reason) {
    auto &claiming = *static_cast<Claiming *>(self);
    if (claiming.guard.enter())
      claiming.answer.refusals.push_back({op, toString(reason)});
  }

private:
  void add(Answer::Part part) {
    std::sort(part.ops.begin(), part.ops.end());
    if (!part.ops.empty() && part.ops.back() >= kernel.op_count)
      error = "it took op " + std::to_string(part.ops.back()) + " of a kernel of " + std::to_string(kernel.op_count);
    if (std::adjacent_find(part.ops.begin(), part.ops.end()) != part.ops.end())
      error = "it took an op twice";
    for (const Answer::Part &other : answer.parts)
      for (uint32_t op : part.ops)
        if (std::binary_search(other.ops.begin(), other.ops.end(), op))
          error = "it took op " + std::to_string(op) + " twice";
    if (part.scratchBytes < 0 || part.scratchBytes > (static_cast<int64_t>(1) << 46))
      error = "it asks for " + std::to_string(part.scratchBytes) + " bytes of scratch";
    if (error.empty())
      answer.parts.push_back(std::move(part));
  }
};

struct Compiling {
  Guard guard;
  std::vector<Blob> &blobs;
  std::string error;

  static void add(void *self, int32_t kind, kiln_string name, const void *data, size_t bytes) {
    auto &compiling = *static_cast<Compiling *>(self);
    if (!compiling.guard.enter())
      return;
    if (kind < KILN_BLOB_BYTES || kind > KILN_BLOB_TEXT) {
      compiling.error = "it gave an artifact of the unknown kind " + std::to_string(kind);
      return;
    }
    const auto *begin = static_cast<const uint8_t *>(data);
    compiling.blobs.push_back(
        {kiln_blob_kind(kind), toString(name), std::vector<uint8_t>(begin, begin + (begin ? bytes : 0))});
  }
};

/// A plugin's function must not throw; where it does, that is its failure and not this process's end.
template <typename Call> int32_t guarded(kiln_error &error, Call call) {
  try {
    return call();
  } catch (...) {
    return fail(&error, KILN_ERROR_INTERNAL,
                "it threw an exception, which the backend interface forbids: tell its author");
  }
}

/// The machine that an ELF file is for, as a sentence's end; empty where it is this one or not to be told.
std::string foreignMachine(const std::string &path) {
  unsigned char head[20] = {};
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char *>(head), sizeof head);
  if (!file || std::memcmp(head, "\177ELF", 4) != 0)
    return "it is not a shared object (ELF) file; a plugin is one that exports " KILN_BACKEND_SYMBOL;
  unsigned char own[20] = {};
  std::ifstream self("/proc/self/exe", std::ios::binary);
  self.read(reinterpret_cast<char *>(own), sizeof own);
  if (self && (own[4] != head[4] || own[18] != head[18] || own[19] != head[19]))
    return "it was built for another processor (ELF machine " + std::to_string(head[18] + 256 * head[19]) +
           ", this is " + std::to_string(own[18] + 256 * own[19]) + "): build it for this machine";
  return "";
}

} // namespace

std::string Answer::reason() const {
  for (const Refusal &refusal : refusals)
    if (!refusal.reason.empty())
      return refusal.reason;
  return "the backend gives no reason";
}

std::shared_ptr<Backend> Backend::create(kiln_backend_fn function, std::string origin, std::string &error) {
  auto backend = std::make_shared<Backend>();
  if (!negotiate(function, plainHost(), backend->tables_, error))
    return nullptr;
  backend->function_ = function;
  backend->name_ = backend->tables_.name();
  backend->title_ = backend->tables_.title();
  backend->origin_ = std::move(origin);
  return backend;
}

std::shared_ptr<Backend> Backend::load(const std::string &path, std::string &error) {
  std::string where = "backend " + path + ": ";
  // Without a slash dlopen would look through the system's folders.
  std::string file = path.find('/') == std::string::npos ? "./" + path : path;
  std::error_code status;
  if (std::filesystem::is_directory(file, status)) {
    error = where + "it is a folder; name the plugin's file (KILN_BACKEND_PATH takes folders, --backend then a name)";
    return nullptr;
  }
  if (!std::ifstream(file)) {
    error = where + "there is no such file, or it cannot be read: look at the path and its permissions";
    return nullptr;
  }
  if (std::string foreign = foreignMachine(file); !foreign.empty()) {
    error = where + foreign;
    return nullptr;
  }
  void *library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    error = where + "it cannot be loaded: " + dlerror();
    return nullptr;
  }
  auto function = reinterpret_cast<kiln_backend_fn>(dlsym(library, KILN_BACKEND_SYMBOL));
  std::string why =
      "it is no plugin of Kiln: it does not export " KILN_BACKEND_SYMBOL " (a C function, visible: see kiln_backend.h)";
  std::shared_ptr<Backend> backend = function ? create(function, path, why) : nullptr;
  if (!backend)
    error = where + why;
  return backend;
}

bool Backend::capabilities(const kiln_target &target, Capabilities &capabilities, std::string &error) const {
  kiln_capabilities out = {};
  out.size = sizeof out;
  kiln_error failure = emptyError();
  if (guarded(failure, [&] { return tables_.compile.capabilities(plainHost(), &target, &out, &failure); }) !=
      KILN_SUCCESS) {
    error = "the backend " + name_ + ": " + messageOf(failure);
    return false;
  }
  int64_t alignment = std::max<int64_t>(out.alignment, 64);
  if ((out.alignment & (out.alignment - 1)) != 0 || alignment > (1 << 20)) {
    error = "the backend " + name_ + " asks for an alignment of " + std::to_string(out.alignment) +
            " bytes, which is no power of two up to 1048576: tell its author";
    return false;
  }
  capabilities = {out.flags, alignment, out.max_binding_bytes, out.max_allocation_bytes,
                  std::string(out.artifact_symbol.data ? out.artifact_symbol.data : "", out.artifact_symbol.size)};
  return true;
}

bool Backend::claim(const kiln_kernel &kernel, const kiln_target &target, Answer &answer, std::string &error) const {
  answer = {};
  Claiming claiming{{}, kernel, answer, {}};
  kiln_answer functions = {sizeof(kiln_answer), &claiming, Claiming::take, Claiming::refuse};
  kiln_error failure = emptyError();
  int32_t code =
      guarded(failure, [&] { return tables_.compile.claim(plainHost(), &kernel, &target, &functions, &failure); });
  if (claiming.guard.spoilt())
    error = "the backend " + name_ + " answered a claim from another thread";
  else if (code != KILN_SUCCESS)
    error = "the backend " + name_ + ": " + messageOf(failure);
  else if (!claiming.error.empty())
    error = "the backend " + name_ + " gave an answer that makes no sense: " + claiming.error;
  else
    return true;
  return false;
}

bool Backend::compile(const kiln_program &program, const kiln_target &target, std::vector<Blob> &blobs,
                      std::string &error) const {
  blobs.clear();
  Compiling compiling{{}, blobs, {}};
  kiln_sink sink = {sizeof(kiln_sink), &compiling, Compiling::add};
  kiln_error failure = emptyError();
  int32_t code =
      guarded(failure, [&] { return tables_.compile.compile(plainHost(), &program, &target, &sink, &failure); });
  if (compiling.guard.spoilt())
    error = "the backend " + name_ + " gave its artifact from another thread";
  else if (code != KILN_SUCCESS) {
    error = "the backend " + name_ + ": " + messageOf(failure);
    if (failure.kernel < program.kernel_count) {
      const kiln_kernel &kernel = program.kernels[failure.kernel];
      error += " (kernel " + toString(kernel.name) + ")";
    }
  } else if (!compiling.error.empty())
    error = "the backend " + name_ + ": " + compiling.error;
  else if (std::count_if(blobs.begin(), blobs.end(), [](const Blob &b) { return b.kind == KILN_BLOB_BYTES; }) > 1)
    error = "the backend " + name_ + " gave two artifacts of bytes; one is allowed";
  else
    return true;
  blobs.clear();
  return false;
}

} // namespace kiln::host
