// A backend's tables behind C++ types, every answer checked.

#include "backends/host/Backend.h"

#include "backends/api/kiln_text.h"
#include "runtime/backend/Tables.h"
#include "runtime/backend/Within.h"

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cstring>
#include <deque>
#include <dlfcn.h>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

namespace kiln::host {

namespace {

/// What a callback of the host leads to. It outlives the call, so that an answer that comes when the call is over finds
/// that out, and nothing else: these are kept as long as the process.
template <typename Target> struct Token {
  typename Target::Functions functions;
  std::atomic<Target *> target; ///< null: the call is over
  std::shared_ptr<std::atomic<bool>> late;
  std::thread::id thread = std::this_thread::get_id();
  std::atomic<bool> elsewhere = false;

  /// The callback's target, where it is called on the thread that made the call and before that is over; else null.
  static Target *of(void *self) {
    auto &token = *static_cast<Token *>(self);
    Target *target = token.target.load();
    if (!target)
      *token.late = true;
    else if (std::this_thread::get_id() != token.thread)
      token.elsewhere = true;
    else
      return target;
    return nullptr;
  }
};

/// A token's life: the call.
template <typename Target> class Answering {
public:
  /// `functions` but for what they lead to.
  Answering(Target &target, typename Target::Functions functions, const std::shared_ptr<std::atomic<bool>> &late) {
    static std::deque<Token<Target>> all;
    static std::mutex mutex;
    std::lock_guard lock(mutex);
    token_ = &all.emplace_back();
    token_->target = &target;
    token_->late = late;
    token_->functions = functions;
    token_->functions.self = token_;
  }
  ~Answering() { token_->target = nullptr; }
  Answering(const Answering &) = delete;
  const typename Target::Functions *functions() const { return &token_->functions; }
  bool elsewhere() const { return token_->elsewhere; }

private:
  Token<Target> *token_;
};

struct Claiming {
  using Functions = kiln_answer;
  const kiln_kernel &kernel;
  Answer &answer;
  std::string error; ///< the first thing that makes no sense

  static void take(void *self, const uint32_t *ops, size_t count, const kiln_terms *terms) {
    if (Claiming *claiming = Token<Claiming>::of(self))
      claiming->add(ops, count, terms);
  }

  static void refuse(void *self, uint32_t op, kiln_string reason) {
    Claiming *claiming = Token<Claiming>::of(self);
    if (!claiming)
      return;
    if (op != KILN_NONE && op >= claiming->kernel.op_count)
      claiming->wrong("it refused op " + std::to_string(op) + claiming->ofSize());
    if (std::string string = noString(reason); !string.empty())
      claiming->wrong("it gave a reason " + string);
    claiming->answer.refusals.push_back({op, readable(reason)});
  }

  /// What only the whole of the answers shows.
  void finish() {
    for (const Answer::Refusal &refusal : answer.refusals)
      for (const Answer::Part &part : answer.parts)
        if (std::binary_search(part.ops.begin(), part.ops.end(), refusal.op))
          wrong("it took op " + std::to_string(refusal.op) + " and refused it");
  }

private:
  void wrong(std::string what) {
    if (error.empty())
      error = std::move(what);
  }
  std::string ofSize() const { return " of a kernel of " + std::to_string(kernel.op_count); }

  void add(const uint32_t *ops, size_t count, const kiln_terms *terms) {
    Answer::Part part;
    if (ops ? count == 0 || count > kernel.op_count : count != 0)
      return wrong(ops && !count
                       ? "it took a set of no ops"
                       : "it took " + std::to_string(count) + " ops" + (ops ? "" : ", at no address,") + ofSize());
    if (ops)
      part.ops.assign(ops, ops + count);
    else
      for (uint32_t op = 0; op < kernel.op_count; ++op)
        part.ops.push_back(op);
    if (terms)
      addTerms(part, *terms);
    std::sort(part.ops.begin(), part.ops.end());
    if (!part.ops.empty() && part.ops.back() >= kernel.op_count)
      wrong("it took op " + std::to_string(part.ops.back()) + ofSize());
    if (std::adjacent_find(part.ops.begin(), part.ops.end()) != part.ops.end())
      wrong("it took an op twice");
    for (const Answer::Part &other : answer.parts)
      for (uint32_t op : part.ops)
        if (std::binary_search(other.ops.begin(), other.ops.end(), op))
          wrong("it took op " + std::to_string(op) + " twice");
    if (error.empty())
      answer.parts.push_back(std::move(part));
  }

  void addLayouts(Answer::Part &part, const kiln_terms &terms) {
    if (!KILN_HAS(&terms, kiln_terms, layout_count))
      return;
    if (terms.layout_count > kernel.input_count || !terms.layouts)
      return wrong(
          "it asks for " + std::to_string(terms.layout_count) + " layouts" +
          (terms.layouts ? " of a kernel of " + std::to_string(kernel.input_count) + " inputs" : ", at no address"));
    for (size_t i = 0; i < terms.layout_count; ++i) {
      const kiln_layout *layout = terms.layouts[i];
      if (!layout || layout->size < sizeof(kiln_layout))
        return wrong("layout " + std::to_string(i) + " is none: `size` is to be sizeof(kiln_layout)");
      std::string which = "its layout of input " + std::to_string(layout->input);
      if (layout->input >= kernel.input_count)
        return wrong(which + " is for a kernel with more inputs than " + std::to_string(kernel.input_count));
      uint32_t rank = kernel.values[kernel.inputs[layout->input]].rank;
      if (layout->rank != rank || !layout->order)
        return wrong(which + " has " + std::to_string(layout->rank) + " axes" +
                     (layout->order ? "; the input has " + std::to_string(rank) : " at no address"));
      std::vector<int64_t> order(layout->order, layout->order + rank), sorted = order;
      std::sort(sorted.begin(), sorted.end());
      for (uint32_t axis = 0; axis < rank; ++axis)
        if (sorted[axis] != axis)
          return wrong(which + " does not have each axis once");
      for (const auto &[input, other] : part.layouts)
        if (input == layout->input)
          return wrong(which + " stands twice");
      if (order != sorted)
        part.layouts.emplace_back(layout->input, std::move(order));
    }
  }

  void addTerms(Answer::Part &part, const kiln_terms &terms) {
    constexpr uint32_t knownFlags = KILN_TERMS_WHOLE, longest = 65536;
    if (terms.size < sizeof(uint32_t) || terms.size > longest)
      return wrong("its kiln_terms state a size of " + std::to_string(terms.size) + " bytes");
    if (KILN_HAS(&terms, kiln_terms, flags))
      if (std::string flags = unknownFlags(terms.flags, knownFlags); !flags.empty())
        wrong("in its kiln_terms it" + flags);
    part.wholeOnly = KILN_HAS(&terms, kiln_terms, flags) && (terms.flags & KILN_TERMS_WHOLE);
    if (KILN_HAS(&terms, kiln_terms, seconds))
      part.seconds = terms.seconds;
    if (!(part.seconds >= 0 && part.seconds < 1e9))
      wrong("it says that a launch takes " + std::to_string(part.seconds) + " s");
    addLayouts(part, terms);
    if (KILN_HAS(&terms, kiln_terms, scratch_bytes))
      part.scratchBytes = terms.scratch_bytes;
    if (part.scratchBytes < 0 || part.scratchBytes > (static_cast<int64_t>(1) << 46))
      wrong("it asks for " + std::to_string(part.scratchBytes) + " bytes of scratch");
    if (!KILN_HAS(&terms, kiln_terms, form.size))
      return;
    if (std::string string = noString(terms.form); !string.empty())
      wrong("it names a form " + string);
    part.form = readable(terms.form);
  }
};

struct Compiling {
  using Functions = kiln_sink;
  std::vector<Blob> &blobs;
  std::string error;

  static void add(void *self, int32_t kind, kiln_string name, const void *data, size_t bytes) {
    Compiling *compiling = Token<Compiling>::of(self);
    if (!compiling)
      return;
    constexpr size_t most = static_cast<size_t>(1) << 40;
    if (kind < KILN_BLOB_BYTES || kind > KILN_BLOB_TEXT)
      compiling->error = "it gave an artifact of the unknown kind " + std::to_string(kind);
    else if (bytes > most || (bytes && !data))
      compiling->error = "it gave an artifact of " + std::to_string(bytes) + " bytes" + (data ? "" : " at no address");
    else if (std::string string = noString(name); !string.empty())
      compiling->error = "it gave an artifact with a name " + string;
    if (!compiling->error.empty())
      return;
    const auto *begin = static_cast<const uint8_t *>(data);
    compiling->blobs.push_back({kiln_blob_kind(kind), readable(name), std::vector<uint8_t>(begin, begin + bytes)});
  }
};

/// What is wrong with what compile gave; empty where nothing is. `symbol`: the capabilities' artifact_symbol; `empty`:
/// the program has no kernels.
std::string misfit(const std::vector<Blob> &blobs, const std::string &symbol, const kiln_target &target, bool empty) {
  auto count = [&](kiln_blob_kind kind) {
    return std::count_if(blobs.begin(), blobs.end(), [&](const Blob &blob) { return blob.kind == kind; });
  };
  if (std::string_view stage = view(target.emit); !stage.empty())
    return blobs.empty() ? "left nothing at the stage '" + std::string(stage) + "', and calls that a success" : "";
  if (count(KILN_BLOB_BYTES) > 1)
    return "gave two artifacts of bytes; one is allowed";
  if (!symbol.empty() && count(KILN_BLOB_BYTES))
    return "gave an artifact of bytes, where its capabilities name an artifact_symbol, " + symbol +
           ": artifacts are object files then";
  if (symbol.empty() && count(KILN_BLOB_OBJECT))
    return "gave an object file, where its capabilities name no artifact_symbol: artifacts are bytes then";
  if (empty)
    return ""; // of a program without kernels there may be nothing to say
  if (symbol.empty() && !count(KILN_BLOB_BYTES))
    return "gave no artifact, and calls that a success";
  if (!symbol.empty() && !count(KILN_BLOB_OBJECT))
    return "gave no object file, which was to define " + symbol + ", and calls that a success";
  for (const Blob &blob : blobs)
    if (blob.kind != KILN_BLOB_TEXT && blob.bytes.empty())
      return "gave an artifact of no bytes";
  return "";
}

/// The names of composites that the capabilities state; what is wrong with them, or nothing.
std::string compositesOf(const kiln_capabilities &says, std::vector<std::string> &names) {
  constexpr size_t most = 4096;
  if (says.composite_count > most || (says.composite_count && !says.composites))
    return " names " + std::to_string(says.composite_count) + " composites" +
           (says.composites ? "" : " at no address") + ": tell its author";
  for (size_t i = 0; i < says.composite_count; ++i) {
    if (std::string string = noString(says.composites[i]); !string.empty())
      return " names a composite " + string + ": tell its author";
    names.push_back(toString(says.composites[i]));
    const std::string &name = names.back();
    if (name.empty() ||
        !std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) || c == '_'; }))
      return " names a composite '" + readable(std::string_view(name)) +
             "', which no op can be called: tell its author";
  }
  return "";
}

/// A plugin's function must not throw; where it does, that is its failure and not this process's end.
template <typename Call>
int32_t guarded(const BackendTables &tables, const char *function, const std::string &kernel, kiln_error &error,
                Call call) {
  Inside inside(nameOf(tables), tables.foreign, function, {}, kernel);
  try {
    return call();
  } catch (...) {
    return fail(&error, KILN_ERROR_INTERNAL,
                "it threw an exception, which the backend interface forbids: tell its author");
  }
}

/// What a kernel that is claimed is, which has no name yet: its ops and where the first of them stands.
std::string describe(const kiln_kernel &kernel) {
  constexpr size_t most = 4;
  std::string text;
  for (size_t i = 0; i < kernel.op_count && i < most; ++i)
    text += (i ? " + " : "") + toString(kernel.ops[i].name);
  if (kernel.op_count > most)
    text += " + " + std::to_string(kernel.op_count - most) + " more";
  for (size_t i = 0; i < kernel.op_count; ++i)
    if (const kiln_location &at = kernel.ops[i].location; at.line)
      return text + " at " + toString(at.file) + ":" + std::to_string(at.line) + ":" + std::to_string(at.column);
  return text;
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

bool Answer::leavesWanted(size_t opCount) const {
  size_t taken = 0;
  for (const Part &part : parts)
    taken += part.ops.size();
  return taken < opCount && wantsWhole();
}

bool Answer::wantsWhole() const {
  return std::any_of(parts.begin(), parts.end(), [](const Part &part) { return part.wholeOnly; });
}

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

std::shared_ptr<Backend> Backend::load(const std::string &path, std::string &error, bool foreign) {
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
  void *library = nullptr;
  {
    Inside inside(path, foreign, "loading");
    library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  }
  if (!library) {
    error = where + "it cannot be loaded: " + dlerror();
    return nullptr;
  }
  auto function = reinterpret_cast<kiln_backend_fn>(dlsym(library, KILN_BACKEND_SYMBOL));
  std::string why =
      "it is no plugin of Kiln: it does not export " KILN_BACKEND_SYMBOL " (a C function, visible: see kiln_backend.h)";
  std::shared_ptr<Backend> backend;
  {
    Inside inside(path, foreign, KILN_BACKEND_SYMBOL);
    backend = function ? create(function, path, why) : nullptr;
  }
  if (!backend)
    error = where + why;
  else
    backend->tables_.foreign = foreign;
  return backend;
}

bool Backend::capabilities(const kiln_target &target, Capabilities &capabilities, std::string &error) const {
  kiln_capabilities out = {};
  out.size = sizeof out;
  kiln_error failure = emptyError();
  int32_t code = guarded(tables_, "capabilities", {}, failure,
                         [&] { return tables_.compile.capabilities(plainHost(), &target, &out, &failure); });
  if (code != KILN_SUCCESS) {
    error = "the backend " + name_ + ": " + messageOf(failure, code);
    return false;
  }
  auto wrong = [&](const std::string &what) {
    error = "the backend " + name_ + what;
    return false;
  };
  int64_t alignment = std::max<int64_t>(out.alignment, 64);
  if ((out.alignment & (out.alignment - 1)) != 0 || alignment > (1 << 20))
    return wrong(" asks for an alignment of " + std::to_string(out.alignment) +
                 " bytes, which is no power of two up to 1048576: tell its author");
  if (std::string flags = unknownFlags(out.flags, knownBackendFlags); !flags.empty())
    return wrong(flags);
  for (auto [name, bytes] : {std::pair("max_binding_bytes", out.max_binding_bytes),
                             std::pair("max_allocation_bytes", out.max_allocation_bytes)})
    if (bytes < 0)
      return wrong(std::string(" states a ") + name + " of " + std::to_string(bytes) + ": tell its author");
  if (!(out.link_seconds >= 0 && out.link_seconds < 1e9 && out.link_bytes_per_second >= 0))
    return wrong(" says that a copy takes " + std::to_string(out.link_seconds) + " s and that " +
                 std::to_string(out.link_bytes_per_second) + " bytes a second go over its link: tell its author");
  if (std::string string = noString(out.artifact_symbol); !string.empty())
    return wrong(" names an artifact_symbol " + string + ": tell its author");
  std::string symbol = toString(out.artifact_symbol);
  if (!std::all_of(symbol.begin(), symbol.end(), [](unsigned char c) { return std::isgraph(c); }))
    return wrong(" names an artifact_symbol that is none, '" + readable(std::string_view(symbol)) +
                 "': tell its author");
  std::vector<std::string> composites;
  if (std::string what = compositesOf(out, composites); !what.empty())
    return wrong(what);
  capabilities = {out.flags,         alignment,        out.max_binding_bytes,     out.max_allocation_bytes,
                  std::move(symbol), out.link_seconds, out.link_bytes_per_second, std::move(composites)};
  return true;
}

bool Backend::claim(const kiln_kernel &kernel, const kiln_target &target, Answer &answer, std::string &error) const {
  answer = {};
  Claiming claiming{kernel, answer, {}};
  Answering answering(claiming, {sizeof(kiln_answer), nullptr, Claiming::take, Claiming::refuse}, late_);
  kiln_error failure = emptyError();
  int32_t code = guarded(tables_, "claim", callRecord ? describe(kernel) : "", failure, [&] {
    return tables_.compile.claim(plainHost(), &kernel, &target, answering.functions(), &failure);
  });
  claiming.finish();
  if (answering.elsewhere())
    error = "the backend " + name_ + " answered a claim from another thread";
  else if (*late_)
    error = "the backend " + name_ + " answered a claim or gave an artifact when that call was over";
  else if (code != KILN_SUCCESS)
    error = "the backend " + name_ + ": " + messageOf(failure, code);
  else if (!claiming.error.empty())
    error = "the backend " + name_ + " gave an answer that makes no sense: " + claiming.error;
  else
    return true;
  return false;
}

bool Backend::compile(const kiln_program &program, const kiln_target &target, std::vector<Blob> &blobs,
                      std::string &error, const std::string &cacheFolder) const {
  blobs.clear();
  Capabilities capabilities;
  if (!this->capabilities(target, capabilities, error))
    return false;
  kiln_host host = *plainHost();
  if (capabilities.flags & KILN_BACKEND_DETERMINISTIC)
    host.cache_folder = text(cacheFolder);
  Compiling compiling{blobs, {}};
  Answering answering(compiling, {sizeof(kiln_sink), nullptr, Compiling::add}, late_);
  kiln_error failure = emptyError();
  int32_t code = guarded(tables_, "compile", {}, failure, [&] {
    return tables_.compile.compile(&host, &program, &target, answering.functions(), &failure);
  });
  if (answering.elsewhere())
    error = "the backend " + name_ + " gave its artifact from another thread";
  else if (*late_)
    error = "the backend " + name_ + " answered a claim or gave an artifact when that call was over";
  else if (code != KILN_SUCCESS) {
    error = "the backend " + name_ + ": " + messageOf(failure, code);
    if (failure.kernel < program.kernel_count) {
      const kiln_kernel &kernel = program.kernels[failure.kernel];
      error += " (kernel " + toString(kernel.name) + ")";
    }
  } else if (!compiling.error.empty())
    error = "the backend " + name_ + ": " + compiling.error;
  else if (std::string what = misfit(blobs, capabilities.artifactSymbol, target, program.kernel_count == 0);
           !what.empty())
    error = "the backend " + name_ + " " + what + ": tell its author";
  else
    return true;
  blobs.clear();
  return false;
}

} // namespace kiln::host
