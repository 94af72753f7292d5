#include "tests/runtime/FakeBackend.h"

#include "runtime/backend/Tables.h"

#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <unistd.h>
#include <vector>

namespace kiln::testing {

namespace {

struct Launch {
  std::string_view kernel;
  float *f[8];
  int32_t *i[8];
  int64_t extents[4];
  kiln_status *status;
  uint32_t number;
};

/// x[N,2], y[N,1], w[1,2], b[1] -> the residuals x w + b - y, and their mean square.
float residuals(const float *x, const float *y, const float *w, const float *b, int64_t rows, float *out) {
  float sum = 0;
  for (int64_t r = 0; r < rows; ++r) {
    out[r] = x[2 * r] * w[0] + x[2 * r + 1] * w[1] + b[0] - y[r];
    sum += out[r] * out[r];
  }
  return sum / static_cast<float>(rows);
}

void gradients(const float *x, const float *residual, int64_t rows, float *gw, float *gb) {
  gw[0] = gw[1] = gb[0] = 0;
  for (int64_t r = 0; r < rows; ++r) {
    float scale = 2 * residual[r] / static_cast<float>(rows);
    gw[0] += scale * x[2 * r];
    gw[1] += scale * x[2 * r + 1];
    gb[0] += scale;
  }
}

void run(const Launch &l) {
  int64_t rows = l.extents[0];
  if (l.kernel == "loss") { // x y w b -> loss, residuals
    *l.f[4] = residuals(l.f[0], l.f[1], l.f[2], l.f[3], rows, l.f[5]);
  } else if (l.kernel == "gradient") { // x residuals -> gw gb
    gradients(l.f[0], l.f[1], rows, l.f[2], l.f[3]);
  } else if (l.kernel == "update") { // p g m -> p m (momentum 0.9, rate 0.05)
    for (int64_t i = 0; i < l.extents[0]; ++i) {
      l.f[2][i] = 0.9f * l.f[2][i] + l.f[1][i];
      l.f[0][i] -= 0.05f * l.f[2][i];
    }
  } else if (l.kernel == "forward") { // x w b -> y
    for (int64_t r = 0; r < rows; ++r)
      l.f[3][r] = l.f[0][2 * r] * l.f[1][0] + l.f[0][2 * r + 1] * l.f[1][1] + l.f[2][0];
  } else if (l.kernel == "check") { // i32 ids: an index error where one is above 9
    for (int64_t r = 0; r < rows; ++r)
      if (l.i[0][r] < 0 || l.i[0][r] > 9) {
        l.status->kernel = l.number;
        l.status->op = 0;
        l.status->value = l.i[0][r];
        l.status->limit = 10;
        l.status->kind = KILN_INDEX_OUT_OF_RANGE;
        return;
      }
  }
}

/// A chain with memory: from the state h, token v has the logit table(h, v); then h becomes (3 h + v + 1) mod 7.
void chainLogits(const int32_t *h, int64_t rows, float *logits) {
  for (int64_t r = 0; r < rows; ++r)
    for (int32_t v = 0; v < 5; ++v)
      logits[r * 5 + v] = chainTable(h[r], v);
}

void runChain(const Launch &l) {
  int64_t rows = l.extents[0];
  if (l.kernel == "prefill") { // prompt[B, T] -> h[B], logits[B, 5]
    for (int64_t r = 0; r < rows; ++r) {
      l.i[1][r] = 0;
      for (int64_t t = 0; t < l.extents[1]; ++t)
        l.i[1][r] = (3 * l.i[1][r] + l.i[0][r * l.extents[1] + t] + 1) % 7;
    }
    chainLogits(l.i[1], rows, l.f[2]);
  } else if (l.kernel == "step") {     // token[B], position, h[B] -> h[B] (in place), logits[B, 5]
    if (*l.i[1] < 0 || *l.i[1] >= 6) { // the cache's end
      l.status->kernel = l.number;
      l.status->value = *l.i[1];
      l.status->limit = 6;
      l.status->kind = KILN_INDEX_OUT_OF_RANGE;
    }
    for (int64_t r = 0; r < rows; ++r)
      l.i[2][r] = (3 * l.i[2][r] + l.i[0][r] + 1) % 7;
    chainLogits(l.i[2], rows, l.f[3]);
  }
}

const kiln_program *loaded = nullptr;
const kiln_host *threads = nullptr; // the device's

int64_t valueOf(const kiln_extent &extent, const int64_t *table) {
  return extent.slot < 0 ? extent.value : table[extent.slot];
}

void walk(const kiln_node &node, void *const *buffers, uint8_t *arena, int64_t *extents, kiln_status *status) {
  if (node.kind == KILN_NODE_SEQUENCE)
    for (size_t i = 0; i < node.child_count; ++i)
      walk(node.children[i], buffers, arena, extents, status);
  if (node.kind != KILN_NODE_LAUNCH)
    return;
  Launch launch = {};
  kiln_string name = loaded->kernels[node.kernel].name;
  launch.kernel = {name.data, name.size};
  launch.status = status;
  launch.number = node.kernel;
  for (size_t i = 0; i < node.place_count; ++i) {
    const kiln_place &place = node.places[i];
    const uint8_t *base = place.space == KILN_SPACE_ARENA      ? arena
                          : place.space == KILN_SPACE_ARGUMENT ? static_cast<const uint8_t *>(buffers[place.argument])
                                                               : loaded->constants;
    launch.f[i] = reinterpret_cast<float *>(const_cast<uint8_t *>(base + place.offset));
    launch.i[i] = reinterpret_cast<int32_t *>(launch.f[i]);
  }
  for (size_t i = 0; i < loaded->kernels[node.kernel].extent_count; ++i)
    launch.extents[i] = valueOf(node.extents[i], extents);
  run(launch);
  runChain(launch);
}

// A device whose buffers are this process's memory, or, with `apart`, copies that only write, read and copy reach.
struct Buffer {
  uint8_t *memory;
  std::vector<uint8_t> own;
};
Buffer *bufferOf(kiln_buffer *buffer) { return reinterpret_cast<Buffer *>(buffer); }

bool apart = false;

int32_t deviceCount(const kiln_host *, uint32_t *count, kiln_string *, kiln_error *) {
  *count = 1;
  return 0;
}
int32_t deviceInfo(const kiln_host *, uint32_t, kiln_device_info *info, kiln_error *) {
  info->usable = 1;
  info->name = {"fake", 4};
  info->flags = apart ? 0 : KILN_BACKEND_HOST_MEMORY;
  return 0;
}
int32_t open(const kiln_host *host, uint32_t, kiln_device **device, kiln_error *) {
  threads = host;
  *device = reinterpret_cast<kiln_device *>(&loaded);
  return 0;
}
void close(kiln_device *) {}
int32_t allocate(kiln_device *, uint64_t bytes, kiln_buffer **buffer, kiln_error *) {
  auto *made = new Buffer{nullptr, std::vector<uint8_t>(bytes, 0xcd)};
  made->memory = made->own.data();
  *buffer = reinterpret_cast<kiln_buffer *>(made);
  return 0;
}
int32_t import(kiln_device *, void *memory, uint64_t, kiln_buffer **buffer, kiln_error *) {
  *buffer = reinterpret_cast<kiln_buffer *>(new Buffer{static_cast<uint8_t *>(memory), {}});
  return 0;
}
void release(kiln_buffer *buffer) { delete bufferOf(buffer); }
int32_t write(kiln_buffer *to, uint64_t offset, const void *from, uint64_t bytes, kiln_error *) {
  std::memcpy(bufferOf(to)->memory + offset, from, bytes);
  return 0;
}
int32_t read(kiln_buffer *from, uint64_t offset, void *to, uint64_t bytes, kiln_error *) {
  std::memcpy(to, bufferOf(from)->memory + offset, bytes);
  return 0;
}
int32_t copy(kiln_buffer *from, uint64_t fromOffset, kiln_buffer *to, uint64_t toOffset, uint64_t bytes, kiln_error *) {
  std::memmove(bufferOf(to)->memory + toOffset, bufferOf(from)->memory + fromOffset, bytes);
  return 0;
}

int32_t load(kiln_device *, const kiln_program *program, const void *, uint64_t, kiln_executable **executable,
             kiln_error *) {
  loaded = program;
  *executable = reinterpret_cast<kiln_executable *>(&loaded);
  return 0;
}

int down(volatile char *above, int64_t times) {
  volatile char here[4096];
  here[0] = above ? *above : 1;
  return times ? down(here, times - 1) + here[0] : 0;
}
void overflow() { down(nullptr, static_cast<int64_t>(1) << 40); }

/// What the environment's KILN_FAKE_FAULT asks for, in the execution KILN_FAKE_AT (from 1).
int32_t misbehave() {
  static int executions = 0;
  const char *fault = std::getenv("KILN_FAKE_FAULT"), *at = std::getenv("KILN_FAKE_AT");
  if (!fault || ++executions != (at ? std::atoi(at) : 1))
    return 0;
  std::string_view what = fault;
  for (auto [name, number] : {std::pair("segv", SIGSEGV), std::pair("bus", SIGBUS), std::pair("fpe", SIGFPE),
                              std::pair("ill", SIGILL), std::pair("abort", SIGABRT)})
    if (what == name)
      std::raise(number);
  if (what == "thread") // where kernels run
    std::thread([] { std::raise(SIGSEGV); }).join();
  if (what == "stack")
    overflow();
  if (what == "worker's stack")
    threads->parallel_for(
        threads->self, 1000,
        [](void *, int64_t, int64_t, uint32_t worker) {
          if (worker)
            overflow();
          sleep(60); // the other one comes to it
        },
        nullptr);
  if (what == "exit0")
    std::exit(0);
  if (what == "exit7")
    std::exit(7);
  if (what == "throw")
    throw std::runtime_error("no more registers");
  if (what == "throw int")
    throw 42;
  if (what == "hang" || what == "slow") { // whoever waits for it finds a file
    std::FILE *file = std::fopen("there.txt", "w");
    std::fputs(fault, file);
    std::fclose(file);
  }
  while (what == "hang")
    usleep(100000);
  if (what == "slow") // long enough for a signal or two
    usleep(1500000);
  return what == "fail" ? KILN_ERROR_OUT_OF_MEMORY : 0;
}

int32_t execute(kiln_executable *, const kiln_execution *execution, kiln_error *) {
  if (int32_t code = misbehave())
    return code;
  const EntryRow &entry = loaded->entries[execution->entry];
  void *buffers[16] = {};
  for (size_t i = 0; i < entry.argument_count; ++i)
    buffers[i] = bufferOf(execution->buffers[i])->memory;
  uint8_t *arena = execution->arena ? bufferOf(execution->arena)->memory : nullptr;
  walk(entry.root, buffers, arena, execution->extents, execution->status);
  return 0;
}
int32_t wait(kiln_event *, kiln_error *) { return 0; }
void unload(kiln_executable *) {}

kiln_run_api functions = {sizeof(kiln_run_api),
                          deviceCount,
                          deviceInfo,
                          open,
                          close,
                          allocate,
                          import,
                          release,
                          nullptr,
                          nullptr,
                          write,
                          read,
                          copy,
                          load,
                          unload,
                          execute,
                          wait,
                          nullptr,
                          nullptr,
                          nullptr,
                          nullptr,
                          nullptr,
                          nullptr,
                          nullptr,
                          nullptr};

const kiln_backend *backend(const kiln_offer *, kiln_error *) {
  static const kiln_backend table = {
      sizeof(kiln_backend), KILN_ABI_VERSION, {"fake", 4}, {"a fake", 6}, nullptr, &functions, nullptr, 0, 0, 0};
  return &table;
}

constexpr const char *manifestHead =
    R"({"format": 0, "model": "Line", "target": {"triple": "", "cpu": "", "features": []},
 "parameters": [{"name": "w", "dtype": "f32", "shape": [1, 2], "trainable": true, "init": {"kind": "normal", "mean": 0.0, "std": 0.1}},
                {"name": "b", "dtype": "f32", "shape": [1], "trainable": true}],
 "states": [{"name": "optimizer.momentum_buffer.w", "dtype": "f32", "shape": [1, 2], "kind": "optimizer"},
            {"name": "optimizer.momentum_buffer.b", "dtype": "f32", "shape": [1], "kind": "optimizer"}],
 "data": [{"name": "data", "reader": "csv", "path": ")";

constexpr const char *manifestTail = R"(",
   "options": {"features": 2, "target": [2], "batch": 4, "validation": 0.25},
   "fields": [{"name": "features", "dtype": "f32", "shape": [4, 2]}, {"name": "target", "dtype": "f32", "shape": [4, 1]}]}],
 "train": {"steps": 40, "validate": {"every": 10}, "checkpoint": {"every": 5}},
 "kernels": [{"name": "loss", "inputs": 4, "outputs": [{"dtype": "f32", "dims": []}, {"dtype": "f32", "dims": [[4, 0]], "op": 0}],
              "ops": [{"name": "sub", "location": "line.kiln:3:9"}]}, {"name": "gradient"},
             {"name": "update"}, {"name": "forward"}, {"name": "check", "ops": [{"name": "gather", "location": "line.kiln:7:13"}]}],
 "constants": 0,
 "entries": [
  {"name": "train_step", "symbols": [], "extents": [], "arena": 256, "lower_bound": 28,
   "arguments": [{"role": "input", "name": "data.features", "dtype": "f32", "shape": [4, 2], "bytes": 32},
                 {"role": "input", "name": "data.target", "dtype": "f32", "shape": [4, 1], "bytes": 16},
                 {"role": "parameter", "name": "w", "dtype": "f32", "shape": [1, 2], "bytes": 8, "donated": true},
                 {"role": "parameter", "name": "b", "dtype": "f32", "shape": [1], "bytes": 4, "donated": true},
                 {"role": "state", "name": "optimizer.momentum_buffer.w", "dtype": "f32", "shape": [1, 2], "bytes": 8, "donated": true},
                 {"role": "state", "name": "optimizer.momentum_buffer.b", "dtype": "f32", "shape": [1], "bytes": 4, "donated": true},
                 {"role": "loss", "dtype": "f32", "shape": [], "bytes": 4, "result": true}],
   "plan": {"node": "sequence", "children": [
     {"node": "launch", "kernel": 0, "places": [["arg",0,0],["arg",1,0],["arg",2,0],["arg",3,0],["arg",6,0],["arena",0,0]], "extents": [[4,-1]], "scratch": -1},
     {"node": "launch", "kernel": 1, "places": [["arg",0,0],["arena",0,0],["arena",0,64],["arena",0,128]], "extents": [[4,-1]], "scratch": -1},
     {"node": "launch", "kernel": 2, "places": [["arg",2,0],["arena",0,64],["arg",4,0]], "extents": [[2,-1]], "scratch": -1},
     {"node": "launch", "kernel": 2, "places": [["arg",3,0],["arena",0,128],["arg",5,0]], "extents": [[1,-1]], "scratch": -1}]}},
  {"name": "eval", "symbols": [{"name": "N", "bound": 4}], "extents": ["N"], "arena": 64,
   "arguments": [{"role": "input", "name": "data.features", "dtype": "f32", "shape": ["N", 2], "bytes": 32},
                 {"role": "input", "name": "data.target", "dtype": "f32", "shape": ["N", 1], "bytes": 16},
                 {"role": "parameter", "name": "w", "dtype": "f32", "shape": [1, 2], "bytes": 8},
                 {"role": "parameter", "name": "b", "dtype": "f32", "shape": [1], "bytes": 4},
                 {"role": "loss", "dtype": "f32", "shape": [], "bytes": 4, "result": true}],
   "plan": {"node": "launch", "kernel": 0, "places": [["arg",0,0],["arg",1,0],["arg",2,0],["arg",3,0],["arg",4,0],["arena",0,0]], "extents": [[4,0]], "scratch": -1}},
  {"name": "grad", "symbols": [], "extents": [], "arena": 64,
   "arguments": [{"role": "input", "name": "data.features", "dtype": "f32", "shape": [4, 2], "bytes": 32},
                 {"role": "input", "name": "data.target", "dtype": "f32", "shape": [4, 1], "bytes": 16},
                 {"role": "parameter", "name": "w", "dtype": "f32", "shape": [1, 2], "bytes": 8},
                 {"role": "parameter", "name": "b", "dtype": "f32", "shape": [1], "bytes": 4},
                 {"role": "loss", "dtype": "f32", "shape": [], "bytes": 4, "result": true},
                 {"role": "gradient", "name": "w", "dtype": "f32", "shape": [1, 2], "bytes": 8, "result": true},
                 {"role": "gradient", "name": "b", "dtype": "f32", "shape": [1], "bytes": 4, "result": true}],
   "plan": {"node": "sequence", "children": [
     {"node": "launch", "kernel": 0, "places": [["arg",0,0],["arg",1,0],["arg",2,0],["arg",3,0],["arg",4,0],["arena",0,0]], "extents": [[4,-1]], "scratch": -1},
     {"node": "launch", "kernel": 1, "places": [["arg",0,0],["arena",0,0],["arg",5,0],["arg",6,0]], "extents": [[4,-1]], "scratch": -1}]}},
  {"name": "forward", "symbols": [{"name": "B", "bound": 16}], "extents": ["B"], "arena": 0,
   "arguments": [{"role": "input", "name": "x", "dtype": "f32", "shape": ["B", 2], "bytes": 128},
                 {"role": "parameter", "name": "w", "dtype": "f32", "shape": [1, 2], "bytes": 8},
                 {"role": "parameter", "name": "b", "dtype": "f32", "shape": [1], "bytes": 4},
                 {"role": "output", "name": "0", "dtype": "f32", "shape": ["B", 1], "bytes": 64, "result": true}],
   "plan": {"node": "launch", "kernel": 3, "places": [["arg",0,0],["arg",1,0],["arg",2,0],["arg",3,0]], "extents": [[16,0]], "scratch": -1}},
  {"name": "check", "symbols": [{"name": "B", "bound": 4}], "extents": ["B"], "arena": 0,
   "arguments": [{"role": "input", "name": "ids", "dtype": "i32", "shape": ["B"], "bytes": 16},
                 {"role": "output", "name": "0", "dtype": "i32", "shape": ["B"], "bytes": 16, "result": true}],
   "plan": {"node": "launch", "kernel": 4, "places": [["arg",0,0],["arg",1,0]], "extents": [[4,0]], "scratch": -1}}]})";

constexpr const char *chain = R"({"format": 0, "model": "Chain", "parameters": [],
 "states": [{"name": "h", "dtype": "i32", "shape": ["B"], "kind": "session", "batch_axis": 0}],
 "generate": {"prefill": "generate.prefill", "step": "generate.step", "capacity": 6, "draw": {"kind": "greedy", "until": 0}},
 "kernels": [{"name": "prefill"}, {"name": "step"}], "constants": 0,
 "entries": [
  {"name": "generate.prefill", "symbols": [{"name": "B", "bound": 64}, {"name": "T", "bound": 6}], "extents": ["B", "T"], "arena": 0,
   "arguments": [{"role": "input", "name": "prompt", "dtype": "i32", "shape": ["B", "T"], "bytes": 1536},
                 {"role": "state", "name": "h", "dtype": "i32", "shape": ["B"], "bytes": 256, "result": true},
                 {"role": "output", "name": "logits", "dtype": "f32", "shape": ["B", 5], "bytes": 1280, "result": true}],
   "plan": {"node": "launch", "kernel": 0, "places": [["arg",0,0],["arg",1,0],["arg",2,0]], "extents": [[64,0],[6,1]], "scratch": -1}},
  {"name": "generate.step", "symbols": [{"name": "B", "bound": 64}], "extents": ["B"], "arena": 0,
   "arguments": [{"role": "input", "name": "token", "dtype": "i32", "shape": ["B"], "bytes": 256},
                 {"role": "input", "name": "position", "dtype": "i32", "shape": [], "bytes": 4},
                 {"role": "state", "name": "h", "dtype": "i32", "shape": ["B"], "bytes": 256, "donated": true},
                 {"role": "output", "name": "logits", "dtype": "f32", "shape": ["B", 5], "bytes": 1280, "result": true}],
   "plan": {"node": "launch", "kernel": 1, "places": [["arg",0,0],["arg",1,0],["arg",2,0],["arg",3,0]], "extents": [[64,0]], "scratch": -1}}]})";

} // namespace

float chainTable(int32_t h, int32_t v) { return static_cast<float>((h * 31 + v * 17 + h * v * 7) % 13) * 0.4f; }

std::string chainManifest() { return chain; }

std::string lineManifest(const std::string &dataPath) { return manifestHead + dataPath + manifestTail; }

kiln_run_api &fakeRunSide() { return functions; }

void keepApart(bool on) { apart = on; }

kiln_program_image fakeImage(const std::string &manifest) {
  kiln_program_image image = {};
  image.size = sizeof(image);
  image.version = KILN_IMAGE_VERSION;
  image.manifest = manifest.data();
  image.manifest_size = manifest.size();
  static const kiln_image_backend fake = {"fake", backend, nullptr, nullptr, nullptr, 0, 0};
  image.backends = &fake;
  image.backend_count = 1;
  return image;
}

} // namespace kiln::testing
