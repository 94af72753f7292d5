// A plugin that is wrong in the way that the environment's KILN_WRONG names: it takes what it is offered and gives an
// artifact of one byte, but for that.
#include "backends/api/kiln_text.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <pthread.h>
#include <string>
#include <string_view>
#include <unistd.h>

using namespace kiln;

namespace {

std::string_view way() {
  const char *name = std::getenv("KILN_WRONG");
  return name ? name : "";
}

/// What ends the process, or does not end, in the function that the way begins with: "claim: crash".
void end(std::string_view function) {
  std::string_view name = way();
  if (!name.starts_with(function))
    return;
  name.remove_prefix(function.size());
  if (name == ": crash")
    std::raise(SIGSEGV);
  if (name == ": abort")
    std::abort();
  if (name == ": exit 0")
    std::exit(0);
  if (name == ": exit 7")
    std::exit(7);
  if (name == ": _exit 0")
    _exit(0);
  if (name == ": killed")
    std::raise(SIGKILL);
  if (name == ": thread ends")
    pthread_exit(nullptr);
  if (name == ": throw")
    throw 42;
  while (name == ": hang")
    usleep(100000);
  if (name == ": file") { // in the folder for temporary files, and then it crashes
    std::string path = std::string(std::getenv("TMPDIR")) + "/of-the-plugin";
    std::fclose(std::fopen(path.c_str(), "w"));
    std::raise(SIGSEGV);
  }
  if (name == ": talk") {
    std::printf("said on standard output\nand a line that does not end");
    (void)!write(STDOUT_FILENO, "written\n", 8);
    std::fprintf(stderr, "said on standard error\n");
  }
}

struct AtLoading {
  AtLoading() { end("loading"); }
} atLoading;

bool is(std::string_view name) { return way() == name; }

constexpr kiln_string nowhere = {nullptr, 9};
const kiln_string huge = {"x", static_cast<size_t>(1) << 40};

int32_t failing(kiln_error *error) {
  if (is("error: no end"))
    std::memset(error->message, 'x', sizeof error->message);
  if (is("error: bytes"))
    std::strcpy(error->message, "a \xff and a \033[2J");
  return is("error: 77") ? 77 : is("error: -1") ? -1 : KILN_ERROR_INTERNAL;
}

int32_t capabilities(const kiln_host *, const kiln_target *, kiln_capabilities *out, kiln_error *error) {
  end("capabilities");
  if (way().starts_with("error"))
    return failing(error);
  static const kiln_string notWords[] = {{"soft max", 8}}, unreadable[] = {nowhere};
  out->composites = is("capabilities: composite")           ? notWords
                    : is("capabilities: composite nowhere") ? unreadable
                                                            : nullptr;
  out->composite_count = is("capabilities: composites at no address") ? 3
                         : is("capabilities: many composites")        ? static_cast<size_t>(1) << 40
                                                                      : out->composites != nullptr;
  out->flags = is("capabilities: flags") ? 0x100 : 0;
  out->max_binding_bytes = is("capabilities: binding") ? -1 : 0;
  out->max_allocation_bytes = is("capabilities: allocation") ? INT64_MIN : 0;
  if (is("capabilities: symbol nowhere"))
    out->artifact_symbol = nowhere;
  if (is("capabilities: symbol huge"))
    out->artifact_symbol = huge;
  if (is("capabilities: symbol text"))
    out->artifact_symbol = text("two words");
  if (way().starts_with("compile: symbol"))
    out->artifact_symbol = text("the_symbol");
  return 0;
}

const kiln_answer *kept = nullptr;
const kiln_sink *keptSink = nullptr;

/// Layouts that there cannot be; false where the way is another.
bool asksWrongly(const kiln_answer *answer) {
  static const uint32_t twice[] = {0, 0};
  kiln_layout layout = {sizeof layout, 0, 1, 0, twice};
  const kiln_layout *const layouts[] = {&layout}, *const none[] = {nullptr};
  kiln_terms terms = {};
  terms.size = sizeof terms;
  terms.layouts = layouts;
  terms.layout_count = 1;
  if (is("claim: many layouts"))
    terms.layout_count = 1000;
  else if (is("claim: layouts nowhere"))
    terms.layouts = nullptr;
  else if (is("claim: no layout"))
    terms.layouts = none;
  else if (is("claim: layout of no size"))
    layout.size = 4;
  else if (is("claim: layout of no input"))
    layout.input = 9;
  else if (is("claim: layout of another rank"))
    layout.rank = 2;
  else if (is("claim: layout without an order"))
    layout.order = nullptr;
  else if (is("claim: layout with an axis too many"))
    layout.order = &layout.rank;
  else
    return false;
  answer->take(answer->self, nullptr, 0, &terms);
  return true;
}

/// Whether the claim is answered wrongly; else it is taken.
bool answersWrongly(const kiln_answer *answer) {
  if (asksWrongly(answer))
    return true;
  kiln_terms terms = {};
  terms.size = sizeof terms;
  const uint32_t ops[] = {0};
  auto takeUnder = [&] { answer->take(answer->self, nullptr, 0, &terms); };
  if (is("claim: no ops"))
    answer->take(answer->self, ops, 0, &terms);
  else if (is("claim: ops nowhere"))
    answer->take(answer->self, nullptr, 3, &terms);
  else if (is("claim: many ops"))
    answer->take(answer->self, ops, static_cast<size_t>(1) << 40, &terms);
  else if (is("claim: terms of no size"))
    terms.size = 0, takeUnder();
  else if (is("claim: flags"))
    terms.flags = 0x80000000, takeUnder();
  else if (is("claim: scratch"))
    terms.scratch_bytes = static_cast<int64_t>(1) << 60, takeUnder();
  else if (is("claim: form"))
    terms.form = huge, takeUnder();
  else if (is("claim: refused op"))
    answer->refuse(answer->self, 7, text("not this one"));
  else if (is("claim: reason nowhere"))
    answer->refuse(answer->self, KILN_NONE, nowhere);
  else if (is("claim: reason huge"))
    answer->refuse(answer->self, KILN_NONE, huge);
  else if (is("claim: reason bytes"))
    answer->refuse(answer->self, KILN_NONE, text("a \xff and a \033[2J"));
  else if (is("claim: both"))
    takeUnder(), answer->refuse(answer->self, 0, text("and not"));
  else if (is("claim: late") && kept)
    kept->take(kept->self, nullptr, 0, &terms);
  else
    return false;
  return true;
}

int32_t claim(const kiln_host *, const kiln_kernel *, const kiln_target *, const kiln_answer *answer, kiln_error *) {
  end("claim");
  bool wrongly = answersWrongly(answer);
  kept = answer;
  if (wrongly)
    return 0;
  kiln_terms terms = {};
  terms.size = sizeof terms;
  answer->take(answer->self, nullptr, 0, &terms);
  return 0;
}

int32_t compile(const kiln_host *host, const kiln_program *program, const kiln_target *, const kiln_sink *sink,
                kiln_error *) {
  kiln_program_info whole = {};
  whole.size = sizeof whole;
  host->reader->program(program, &whole);
  kiln_kernel_info info = {};
  info.size = sizeof info;
  if (whole.kernel_count)
    host->reader->kernel(host->reader->program_kernel(program, 0), &info);
  end("compile");
  auto add = [&](int32_t kind, const void *data, size_t bytes) { sink->add(sink->self, kind, text(""), data, bytes); };
  if (is("compile: nothing") || is("compile: symbol, nothing"))
    return 0;
  if (is("compile: object"))
    add(KILN_BLOB_OBJECT, "x", 1);
  else if (is("compile: nowhere"))
    add(KILN_BLOB_BYTES, nullptr, 8);
  else if (is("compile: huge"))
    add(KILN_BLOB_BYTES, "x", SIZE_MAX);
  else if (is("compile: empty"))
    add(KILN_BLOB_BYTES, "x", 0);
  else if (is("compile: kind"))
    add(-3, "x", 1);
  else if (is("compile: name"))
    sink->add(sink->self, KILN_BLOB_BYTES, nowhere, "x", 1);
  else
    add(KILN_BLOB_BYTES, "x", 1);
  if (is("compile: twice"))
    add(KILN_BLOB_BYTES, "x", 1);
  if (is("compile: late") && keptSink)
    keptSink->add(keptSink->self, KILN_BLOB_BYTES, text(""), "x", 1);
  keptSink = sink;
  return 0;
}

int32_t deviceCount(const kiln_host *, uint32_t *count, kiln_string *, kiln_error *) {
  end("device_count");
  *count = 0;
  return 0;
}

} // namespace

extern "C" const kiln_backend *kiln_backend_plugin(const kiln_offer *offer, kiln_error *) {
  static const kiln_compile_api compiling = {sizeof compiling, capabilities, claim, compile};
  static kiln_run_api running = {};
  running.size = sizeof running;
  running.device_count = deviceCount;
  running.device_info = [](const kiln_host *, uint32_t, kiln_device_info *, kiln_error *) { return 0; };
  running.open = [](const kiln_host *, uint32_t, kiln_device **, kiln_error *) { return 0; };
  running.close = [](kiln_device *) {};
  running.allocate = [](kiln_device *, uint64_t, kiln_buffer **, kiln_error *) { return 0; };
  running.release = [](kiln_buffer *) {};
  running.write = [](kiln_buffer *, uint64_t, const void *, uint64_t, kiln_error *) { return 0; };
  running.read = [](kiln_buffer *, uint64_t, void *, uint64_t, kiln_error *) { return 0; };
  running.copy = [](kiln_buffer *, uint64_t, kiln_buffer *, uint64_t, uint64_t, kiln_error *) { return 0; };
  running.load = [](kiln_device *, const kiln_program *, const void *, uint64_t, kiln_executable **, kiln_error *) {
    return 0;
  };
  running.unload = [](kiln_executable *) {};
  running.execute = [](kiln_executable *, const kiln_execution *, kiln_error *) { return 0; };
  running.wait = [](kiln_event *, kiln_error *) { return 0; };
  static kiln_backend backend = {
      sizeof backend, offer->newest, text("wrong"), text("a wrong one"), &compiling, &running, nullptr, 0, 0, 0};
  end("tables");
  backend.size = is("tables: size") ? 2 : sizeof backend;
  backend.title = is("tables: title") ? nowhere : text("a wrong one");
  static kiln_compile_api odd = compiling;
  odd.size = 0xdeadbeef;
  backend.compile = is("tables: compile size") ? &odd : &compiling;
  return &backend;
}
