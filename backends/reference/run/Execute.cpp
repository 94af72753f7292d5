// Walks a program's tree. Every place is checked against its buffer before it is touched: a judge believes nobody.
#include "backends/reference/run/Executable.h"

#include "backends/api/kiln_text.h"
#include "backends/api/kiln_tree.h"
#include "backends/reference/Blob.h"

#include <cstring>
#include <ctime>

namespace kiln::reference {

using sdk::Graph;

namespace {

int64_t now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<int64_t>(time.tv_sec) * 1000000000 + time.tv_nsec;
}

class Walk {
public:
  Walk(Executable &executable, const kiln_execution &execution, uint32_t &kernel, std::string &error)
      : self(executable), reader(*executable.host->reader), execution(execution), kernel(kernel), error(error) {}

  bool run(const kiln_node *tree) {
    kiln_node_info node{};
    node.size = sizeof node;
    reader.node(tree, &node);
    switch (node.kind) {
    case KILN_NODE_SEQUENCE:
      return children(tree, node);
    case KILN_NODE_LAUNCH:
      return launch(node);
    case KILN_NODE_COPY:
      return copy(node);
    case KILN_NODE_REPEAT:
      return repeat(tree, node);
    case KILN_NODE_WHILE:
      while (true) {
        bool again;
        if (!run(reader.child(tree, 0)) || !test(node, again))
          return false;
        if (!again)
          return true;
        if (!run(reader.child(tree, 1)))
          return false;
      }
    default: { // if
      bool yes;
      return test(node, yes) && run(reader.child(tree, yes ? 0 : 1));
    }
    }
  }

private:
  Executable &self;
  const kiln_reader &reader;
  const kiln_execution &execution;
  uint32_t &kernel;
  std::string &error;
  int64_t iteration[KILN_MAX_LOOPS] = {};
  uint32_t depth = 0;
  uint64_t order = 0;

  int64_t value(const kiln_extent &extent) const {
    return extent.slot < 0 ? extent.value : execution.extents[extent.slot];
  }

  /// `bytes` at a place; null with a sentence where the memory does not hold them.
  uint8_t *at(const kiln_place &place, int64_t bytes, const char *what) {
    uint8_t *memory = const_cast<uint8_t *>(self.constants);
    uint64_t size = self.constantBytes;
    if (place.space != KILN_SPACE_CONSTANT) {
      const Buffer *buffer = of(place.space == KILN_SPACE_ARENA ? execution.arena : execution.buffers[place.argument]);
      memory = buffer ? buffer->memory : nullptr;
      size = buffer ? buffer->bytes : 0;
    }
    int64_t offset = place.offset, step;
    bool good = bytes >= 0 && offset >= 0;
    for (uint32_t level = 0; level < KILN_MAX_LOOPS && good; ++level)
      if (place.stride[level].value != 0) // a bound of 0 leaves nothing to stride over
        good = !__builtin_mul_overflow(value(place.stride[level]), iteration[level], &step) &&
               !__builtin_add_overflow(offset, step, &offset);
    if (!good || offset < 0 || static_cast<uint64_t>(offset) > size ||
        static_cast<uint64_t>(bytes) > size - static_cast<uint64_t>(offset)) {
      error = std::string(what) + " takes " + std::to_string(bytes) + " bytes at offset " + std::to_string(offset) +
              " of memory that has " + std::to_string(size);
      return nullptr;
    }
    static uint8_t nothing; // for no bytes of no memory
    return memory ? memory + offset : &nothing;
  }

  bool children(const kiln_node *tree, const kiln_node_info &node) {
    for (uint32_t i = 0; i < node.child_count; ++i)
      if (!run(reader.child(tree, i)))
        return false;
    return true;
  }

  bool test(const kiln_node_info &node, bool &yes) {
    const uint8_t *condition = at(*node.condition, 1, "a condition");
    yes = condition && *condition;
    return condition != nullptr;
  }

  bool copy(const kiln_node_info &node) {
    int64_t bytes = value(node.count);
    const uint8_t *from = at(node.places[0], bytes, "a copy");
    uint8_t *to = at(node.places[1], bytes, "a copy");
    if (!from || !to)
      return false;
    std::memmove(to, from, static_cast<size_t>(bytes));
    self.counters.bytes_read += static_cast<uint64_t>(bytes);
    self.counters.bytes_written += static_cast<uint64_t>(bytes);
    return true;
  }

  bool repeat(const kiln_node *tree, const kiln_node_info &node) {
    int64_t count = value(node.count);
    uint32_t level = depth++;
    for (int64_t i = 0; i < count; ++i) {
      iteration[level] = node.reverse ? count - 1 - i : i;
      if (node.index_slot >= 0)
        execution.extents[node.index_slot] = iteration[level];
      if (!children(tree, node))
        return false;
    }
    iteration[level] = 0;
    --depth;
    return true;
  }

  bool launch(const kiln_node_info &node) {
    kernel = node.kernel;
    const Graph &graph = self.kernels[node.kernel];
    int64_t started = self.profiling ? now() : 0;
    self.extents.resize(node.extent_count);
    for (uint32_t i = 0; i < node.extent_count; ++i)
      self.extents[i] = value(node.extents[i]);
    self.places.resize(node.place_count);
    for (uint32_t i = 0; i < node.place_count; ++i) {
      bool input = i < graph.inputs.size();
      uint32_t number = input ? graph.inputs[i] : graph.outputs[i - graph.inputs.size()];
      int64_t bytes = bytesOf(graph, number, self.extents.data());
      self.places[i] = at(node.places[i], bytes, input ? "an input" : "an output");
      if (!self.places[i])
        return false;
      (input ? self.counters.bytes_read : self.counters.bytes_written) += static_cast<uint64_t>(bytes);
    }
    kiln_status status{};
    if (!self.evaluator.run(graph, self.extents.data(), std::span(self.places).first(graph.inputs.size()), status,
                            error))
      return false;
    // All is computed before any of it is written: an output may lie in an input's memory.
    for (size_t i = 0; i < graph.outputs.size(); ++i)
      self.evaluator.value(graph.outputs[i]).store(self.places[graph.inputs.size() + i]);
    if (status.kind != KILN_OK && execution.status->kind == KILN_OK) {
      status.kernel = node.kernel;
      status.order = order;
      *execution.status = status;
    }
    ++order;
    ++self.counters.launches;
    if (self.profiling)
      self.events.push_back({node.kernel, 0, started, now()});
    kernel = KILN_NONE;
    return true;
  }
};

/// What a walk relies on.
class TreeCheck {
public:
  TreeCheck(const Executable &executable, const kiln_entry_info &entry, std::string &error)
      : self(executable), reader(*executable.host->reader), entry(entry), error(error) {}

  bool run(const kiln_node *tree, uint32_t depth) {
    kiln_node_info node{};
    node.size = sizeof node;
    if (!tree)
      return fail("the program's tree has a hole");
    reader.node(tree, &node);
    const kiln_node_traits *traits = kiln_traits_of_node(node.kind);
    if (!traits || node.kind > KILN_NODE_IF) // the last that Walk has a case for
      return fail("the reference backend does not execute nodes of kind " + std::to_string(node.kind));
    if (traits->loops && ++depth > KILN_MAX_LOOPS)
      return fail("the program has loops deeper than " + std::to_string(KILN_MAX_LOOPS));
    if ((traits->counts && !extent(node.count)) ||
        (traits->loops && node.index_slot >= static_cast<int64_t>(entry.extent_count)))
      return fail("the program names an extent that its entry does not have");
    if ((traits->tests && (!node.condition || !place(*node.condition))) ||
        (traits->children >= 0 && node.child_count != static_cast<uint32_t>(traits->children)) ||
        (traits->places >= 0 && node.place_count != static_cast<uint32_t>(traits->places)))
      return fail(std::string("a ") + traits->name + " of the program is not well formed");
    if (node.kind == KILN_NODE_LAUNCH && !launch(node))
      return fail("a launch of the program does not fit its kernel");
    for (uint32_t i = 0; i < node.place_count; ++i)
      if (!place(node.places[i]))
        return fail("the program names memory that its entry does not have");
    for (uint32_t i = 0; i < node.child_count; ++i)
      if (!run(reader.child(tree, i), depth))
        return false;
    return true;
  }

private:
  const Executable &self;
  const kiln_reader &reader;
  const kiln_entry_info &entry;
  std::string &error;

  bool fail(const std::string &what) {
    if (error.empty())
      error = what;
    return false;
  }
  bool extent(const kiln_extent &extent) const { return extent.slot < static_cast<int64_t>(entry.extent_count); }
  bool place(const kiln_place &place) const {
    bool good = place.space >= 0 && place.space <= KILN_SPACE_CONSTANT &&
                (place.space != KILN_SPACE_ARGUMENT || place.argument < entry.argument_count);
    for (const kiln_extent &stride : place.stride)
      good = good && extent(stride);
    return good;
  }
  bool launch(const kiln_node_info &node) const {
    if (node.kernel >= self.kernels.size())
      return false;
    const Graph &graph = self.kernels[node.kernel];
    bool good = node.place_count == graph.inputs.size() + graph.outputs.size() &&
                node.extent_count == graph.extentBounds.size();
    for (uint32_t i = 0; i < node.extent_count; ++i)
      good = good && extent(node.extents[i]);
    return good;
  }
};

} // namespace

bool load(const kiln_program *program, const void *artifact, uint64_t bytes, Executable &executable,
          std::string &error) {
  const kiln_reader &reader = *executable.host->reader;
  if (!decode(artifact, bytes, executable.kernels, error))
    return false;
  for (const Graph &graph : executable.kernels)
    if (!hasPrimitivesOnly(graph, error))
      return false;
  kiln_program_info info{};
  info.size = sizeof info;
  reader.program(program, &info);
  bool same = info.kernel_count == executable.kernels.size();
  for (uint32_t i = 0; same && i < info.kernel_count; ++i) {
    kiln_kernel_info kernel{};
    kernel.size = sizeof kernel;
    reader.kernel(reader.program_kernel(program, i), &kernel);
    same = view(kernel.name) == executable.kernels[i].name;
  }
  if (!same) {
    error = "the artifact and the program do not belong together: their kernels differ";
    return false;
  }
  executable.constants = info.constants;
  executable.constantBytes = info.constant_bytes;
  for (uint32_t i = 0; i < info.entry_count; ++i) {
    kiln_entry_info &entry = executable.entries.emplace_back();
    entry = {};
    entry.size = sizeof entry;
    reader.entry(program, i, &entry);
    if (!TreeCheck(executable, entry, error).run(entry.root, 0))
      return false;
  }
  return true;
}

bool execute(Executable &executable, const kiln_execution &execution, uint32_t &kernel, std::string &error) {
  kernel = KILN_NONE;
  if (execution.entry >= executable.entries.size()) {
    error = "the program has no entry " + std::to_string(execution.entry);
    return false;
  }
  executable.events.clear();
  uint64_t held = executable.counters.device_bytes;
  executable.counters = {};
  executable.counters.device_bytes = held;
  executable.counters.submits = 1;
  return Walk(executable, execution, kernel, error).run(executable.entries[execution.entry].root);
}

} // namespace kiln::reference
