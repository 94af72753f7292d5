#include "tests/backends/sdk/CForm.h"
#include "runtime/backend/Tables.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <fstream>
#include <sstream>
#include <unistd.h>

namespace kiln::test {

static const char *const prelude = R"(#include <math.h>
#include <stdbool.h>
#include <stdint.h>
typedef struct { int32_t kind; uint32_t kernel, op, reserved; int64_t value, limit; uint64_t order; } kiln_status;
#define KILN_REPORT(k, o, v, l) \
  do { if (!status->kind) { status->kind = k; status->op = o; status->value = v; status->limit = l; } } while (0)
)";

Printed printC(const kiln_kernel *kernel, const std::string &name, const sdk::EmitterOptions &options) {
  Printed printed;
  std::string error;
  uint32_t op = 0;
  if (!sdk::Graph::read(*tableReader(), kernel, printed.graph, error)) {
    ADD_FAILURE() << name << ": " << error;
    return printed;
  }
  const sdk::Graph &graph = printed.graph;
  if (!sdk::Phases::plan(graph, printed.phases, error, op)) {
    ADD_FAILURE() << name << ": " << error;
    return printed;
  }
  std::string functions, bodies;
  for (size_t i = 0; i < printed.phases.phases.size(); ++i) {
    sdk::Surroundings around;
    sdk::Emitter e(graph, around, options);
    EXPECT_TRUE(e.canPrintAll(error, op)) << error;
    std::string head = "void " + name + "_" + std::to_string(i) +
                       "(int64_t item, void *const *places, const int64_t *extents, kiln_status *status) {\n";
    size_t place = 0;
    auto declare = [&](uint32_t value) {
      std::string type = e.storageType(graph.type(value).dtype), n = std::to_string(place++);
      head += "  " + type + " *p" + n + " = (" + type + " *)places[" + n + "];\n";
    };
    for (uint32_t value : graph.inputs)
      declare(value);
    for (uint32_t value : graph.outputs)
      declare(value);
    for (const sdk::Stored &stored : printed.phases.scratch)
      declare(stored.value);
    printed.phases.print(e, printed.phases.phases[i], sdk::Emitter::outer("item"));
    bodies += head + e.take() + "}\n";
    functions += e.functions();
  }
  printed.text = functions + bodies;
  return printed;
}

CLibrary::CLibrary(const std::string &text) {
  char folder[] = "/tmp/kiln-c-XXXXXX";
  if (!mkdtemp(folder)) {
    ADD_FAILURE() << "no temporary folder";
    return;
  }
  std::string base = folder;
  std::ofstream(base + "/k.c") << prelude << text;
  const char *compiler = std::getenv("CC");
  std::string command = std::string(compiler ? compiler : "cc") + " -std=c11 -O1 -fPIC -shared -Wall -Werror" +
                        " -Wno-unused -Wno-parentheses -Wno-tautological-compare -o " + base + "/k.so " + base +
                        "/k.c -lm > " + base + "/log 2>&1";
  int rc = std::system(command.c_str());
  std::stringstream log;
  log << std::ifstream(base + "/log").rdbuf();
  if (rc != 0) {
    ADD_FAILURE() << log.str().substr(0, 4000);
  } else if (void *library = dlopen((base + "/k.so").c_str(), RTLD_NOW | RTLD_LOCAL)) {
    handle = std::shared_ptr<void>(library, dlclose);
  } else {
    ADD_FAILURE() << dlerror();
  }
  for (const char *name : {"/k.c", "/k.so", "/log"})
    unlink((base + name).c_str());
  rmdir(folder);
}

void *CLibrary::find(const std::string &name) const { return handle ? dlsym(handle.get(), name.c_str()) : nullptr; }

std::vector<conformance::Bytes> runC(const CLibrary &library, const std::string &name, const Printed &printed,
                                     TestKernel &kernel, const std::vector<Tensor> &inputs, kiln_status &status) {
  std::vector<conformance::Bytes> memory, outputs;
  for (const Tensor &input : inputs)
    memory.push_back(input.bytes());
  auto add = [&](uint32_t value) {
    memory.push_back(Tensor::make(kernel.dtype(value), kernel.shapeOf(value)).bytes());
  };
  for (uint32_t value : kernel.outputs())
    add(value);
  for (const sdk::Stored &stored : printed.phases.scratch)
    add(stored.value);
  std::vector<void *> places;
  for (conformance::Bytes &bytes : memory) {
    bytes.reserve(1);
    places.push_back(bytes.data());
  }
  // Where an output may lie in an input's memory, it does.
  for (size_t i = 0; i < kernel.outputs().size(); ++i)
    if (kernel.alias()[i] >= 0)
      places[inputs.size() + i] = places[static_cast<size_t>(kernel.alias()[i])];
  for (size_t i = 0; i < printed.phases.phases.size(); ++i) {
    auto *run = reinterpret_cast<void (*)(int64_t, void *const *, const int64_t *, kiln_status *)>(
        library.find(name + "_" + std::to_string(i)));
    if (!run) {
      ADD_FAILURE() << name << " is missing";
      return {};
    }
    int64_t items = 1;
    for (const kiln_extent &extent : printed.phases.phases[i].items)
      items *= extent.slot < 0 ? extent.value : kernel.extentValues[static_cast<size_t>(extent.slot)];
    for (int64_t item = 0; item < items; ++item)
      run(item, places.data(), kernel.extentValues.data(), &status);
  }
  for (size_t i = 0; i < kernel.outputs().size(); ++i)
    outputs.push_back(memory[kernel.alias()[i] >= 0 ? static_cast<size_t>(kernel.alias()[i]) : inputs.size() + i]);
  return outputs;
}

void checkC(std::vector<Case> &cases) {
  for (bool own : {false, true}) {
    sdk::EmitterOptions options;
    options.wideIndex = !own;
    options.ownFunctions = own;
    std::vector<Printed> printed;
    std::string text;
    for (size_t i = 0; i < cases.size(); ++i) {
      printed.push_back(printC(&cases[i].kernel.get(), "k" + std::to_string(i), options));
      text += "#define KILN_CASE_" + std::to_string(i) + "\n" + printed.back().text;
    }
    // Each function only the first time.
    std::string merged;
    std::set<std::string> seen;
    size_t at = 0;
    while (at < text.size()) {
      size_t end = text.find('\n', at);
      std::string line = text.substr(at, end - at);
      if (line.starts_with("static inline")) {
        size_t stop = line.back() == '}' ? end : text.find("\n}\n", at) + 2;
        std::string whole = text.substr(at, stop - at);
        if (seen.insert(whole).second)
          merged += whole + "\n";
        at = stop + 1;
        continue;
      }
      merged += line + "\n";
      at = end + 1;
    }
    CLibrary library(merged);
    for (size_t i = 0; i < cases.size(); ++i) {
      kiln_status status{};
      std::vector<conformance::Bytes> got =
          runC(library, "k" + std::to_string(i), printed[i], cases[i].kernel, cases[i].inputs, status);
      judge(cases[i].kernel, cases[i].inputs, got, cases[i].tolerance, cases[i].what + (own ? " (own functions)" : ""));
    }
  }
}

kiln_status statusOf(TestKernel &kernel, const std::vector<Tensor> &inputs) {
  Printed printed = printC(&kernel.get(), "k", {});
  CLibrary library(printed.text);
  kiln_status status{};
  runC(library, "k", printed, kernel, inputs, status);
  return status;
}

} // namespace kiln::test
