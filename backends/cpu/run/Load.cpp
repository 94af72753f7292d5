// A program's trees decoded, and its kernels found in the artifact.

#include "backends/cpu/run/Executable.h"

#include "backends/api/kiln_text.h"
#include "backends/api/kiln_tree.h"
#include "backends/cpu/run/Processor.h"
#include <algorithm>
#include <cstring>

namespace kiln::cpu {

namespace {
std::vector<int64_t> inputCountsOf(const kiln_cpu_artifact &artifact) {
  std::vector<int64_t> counts;
  for (uint32_t i = 0; i < artifact.kernel_count; ++i)
    counts.push_back(artifact.kernels[i].input_count);
  return counts;
}

/// Decodes one entry's tree.
class Decoder {
public:
  Decoder(const kiln_reader &reader, const kiln_program *program, uint32_t number, Executable &executable,
          std::string &error)
      : reader(reader), program(program), number(number), artifact(*executable.artifact),
        entry(executable.entries[number]), inputCounts(inputCountsOf(*executable.artifact)),
        prepacked(executable.prepacks ? &executable.prepacked : nullptr), error(error) {}

  bool decode(const kiln_entry_info &source) {
    entry.argumentCount = source.argument_count;
    extentCount = source.extent_count;
    entry.nodes.resize(1);
    return node(source.root, 0, 0);
  }

  size_t largestLaunch = 0, largestExtents = 0;

private:
  const kiln_reader &reader;
  const kiln_program *program;
  uint32_t number; // of the entry
  const kiln_cpu_artifact &artifact;
  Entry &entry;
  std::vector<int64_t> inputCounts; // of the kernels
  PrepackedTable *prepacked;        // null: nothing is to be packed once
  std::string &error;
  size_t extentCount = 0;
  const kiln_node *loop = nullptr; // the outermost around what is decoded

  bool fail(const std::string &message) {
    error = message;
    return false;
  }

  bool extent(const kiln_extent &source) {
    return source.slot < static_cast<int64_t>(extentCount)
               ? true
               : fail("the program names an extent that its entry does not have");
  }

  bool place(const kiln_place &source, Place &to) {
    if (source.space < 0 || source.space > KILN_SPACE_CONSTANT)
      return fail("the program names an unknown memory space");
    if (source.space == KILN_SPACE_ARGUMENT && source.argument >= entry.argumentCount)
      return fail("the program names an argument that its entry does not have");
    to.base = source.space == KILN_SPACE_ARENA ? 0 : source.space == KILN_SPACE_CONSTANT ? 1 : 2 + source.argument;
    to.offset = source.offset;
    for (uint32_t level = 0; level < KILN_MAX_LOOPS; ++level) {
      to.strides[level] = {0, -1};
      if (source.stride[level].value == 0) // none: a bound of 0 leaves nothing to stride over
        continue;
      to.strides[level] = source.stride[level];
      to.strideCount = level + 1;
      if (!extent(source.stride[level]))
        return false;
    }
    return true;
  }

  bool launch(const kiln_node_info &source, Node &to) {
    if (source.kernel >= artifact.kernel_count)
      return fail("the program launches a kernel that it does not have");
    const kiln_cpu_kernel &code = artifact.kernels[source.kernel];
    to.kernel = source.kernel;
    to.extentBegin = static_cast<uint32_t>(entry.extents.size());
    to.extentCount = source.extent_count;
    to.constantExtents = true;
    for (size_t i = 0; i < source.extent_count; ++i) {
      if (!extent(source.extents[i]))
        return false;
      to.constantExtents &= source.extents[i].slot < 0;
      entry.extents.push_back(source.extents[i]);
      entry.constantExtents.push_back(source.extents[i].value);
    }
    largestExtents = std::max<size_t>(largestExtents, source.extent_count);
    largestLaunch = std::max<size_t>(largestLaunch, source.place_count + 1); // and what is prepacked
    if (code.prepacking && code.prepacking->input >= source.place_count)
      return fail("the code packs an input that its kernel does not have");
    if (code.prepacking && prepacked) {
      const kiln_place &of = source.places[code.prepacking->input];
      to.prepacked = prepacked->find(reader, program, number, of, *code.prepacking);
      to.prepackedArgument = of.space == KILN_SPACE_ARGUMENT ? of.argument : Node::noArgument;
      to.prepackedInLoop = loop && kiln_cpu_lasts_in_loop(&reader, inputCounts.data(), loop, &of);
      if (to.prepacked < 0 && to.prepackedInLoop) {
        to.prepacked = prepacked->findInLoop(loop, of, *code.prepacking);
        to.prepackedArgument = Node::ofLoop;
      }
    }
    to.taskBegin = static_cast<uint32_t>(entry.taskCounts.size());
    for (int64_t i = 0; i < code.phase_count; ++i)
      entry.taskCounts.push_back(
          to.constantExtents ? code.phases[i].tasks(entry.constantExtents.data() + to.extentBegin) : 0);
    to.hasScratch = source.scratch != nullptr;
    return !to.hasScratch || place(*source.scratch, to.scratch);
  }

  bool node(const kiln_node *tree, size_t at, uint32_t depth) {
    kiln_node_info source = {};
    source.size = sizeof source;
    reader.node(tree, &source);
    Node result;
    result.kind = kiln_node_kind(source.kind);
    result.count = source.count;
    result.indexSlot = source.index_slot;
    result.reverse = source.reverse != 0;
    const kiln_node_traits *traits = kiln_traits_of_node(source.kind);
    if (!traits || source.kind > KILN_NODE_IF) // the last that Executor.cpp has a case for
      return fail("the cpu backend does not execute this kind of node");
    if ((traits->counts && !extent(source.count)) ||
        (traits->loops && source.index_slot >= static_cast<int64_t>(extentCount)))
      return fail("the program names an extent that its entry does not have");
    if (traits->loops && ++depth > KILN_MAX_LOOPS)
      return fail("the program has loops deeper than " + std::to_string(KILN_MAX_LOOPS));
    if (depth <= 1)
      loop = traits->loops ? tree : depth ? loop : nullptr;
    if ((traits->tests && (!source.condition || !place(*source.condition, result.condition))) ||
        (traits->children >= 0 && source.child_count != static_cast<uint32_t>(traits->children)) ||
        (traits->places >= 0 && source.place_count != static_cast<uint32_t>(traits->places)))
      return fail(std::string("a ") + traits->name + " of the program is not well formed");
    if (source.kind == KILN_NODE_LAUNCH && !launch(source, result))
      return false;
    result.placeBegin = static_cast<uint32_t>(entry.places.size());
    result.placeCount = source.place_count;
    for (size_t i = 0; i < source.place_count; ++i) {
      Place decoded;
      if (!place(source.places[i], decoded))
        return false;
      entry.places.push_back(decoded);
    }
    result.childBegin = static_cast<uint32_t>(entry.nodes.size());
    result.childCount = source.child_count;
    entry.nodes.resize(entry.nodes.size() + source.child_count);
    entry.nodes[at] = result;
    for (uint32_t i = 0; i < source.child_count; ++i)
      if (!node(reader.child(tree, i), result.childBegin + i, depth))
        return false;
    return true;
  }
};
} // namespace

static bool agree(const kiln_reader &reader, const kiln_program *program, const kiln_program_info &info,
                  const kiln_cpu_artifact &artifact, std::string &error) {
  if (artifact.version != KILN_CPU_ARTIFACT_VERSION) {
    error = "the code was compiled by another version of the cpu backend";
    return false;
  }
  std::string missing = missingFeatures(artifact.features);
  if (!missing.empty()) {
    error = "this processor lacks " + missing + ", which the code was compiled for (" + std::string(artifact.cpu) +
            "); build it again on this machine or with --target-cpu";
    return false;
  }
  bool same = info.kernel_count == artifact.kernel_count;
  for (uint32_t i = 0; same && i < info.kernel_count; ++i) {
    kiln_kernel_info kernel = {};
    kernel.size = sizeof kernel;
    reader.kernel(reader.program_kernel(program, i), &kernel);
    same = std::strlen(artifact.kernels[i].name) == kernel.name.size &&
           std::memcmp(artifact.kernels[i].name, kernel.name.data, kernel.name.size) == 0;
  }
  if (!same)
    error = "the code and the program do not belong together: their kernels differ";
  return same;
}

/// Which entries change what other entries have prepacked.
static void noteWrites(const kiln_reader &reader, const kiln_program *program, Executable &executable) {
  if (!KILN_HAS(&reader, kiln_reader, argument))
    return;
  for (size_t entry = 0; entry < executable.entries.size(); ++entry)
    for (size_t i = 0; i < executable.entries[entry].argumentCount; ++i) {
      kiln_argument argument = {};
      argument.size = sizeof argument;
      reader.argument(program, static_cast<uint32_t>(entry), static_cast<uint32_t>(i), &argument);
      if (argument.role != KILN_ROLE_PARAMETER || !(argument.flags & KILN_ARGUMENT_WRITTEN))
        continue;
      std::vector<int32_t> numbers = executable.prepacked.of(view(argument.name));
      std::vector<int32_t> &writes = executable.entries[entry].writes;
      writes.insert(writes.end(), numbers.begin(), numbers.end());
    }
}

bool load(const kiln_program *program, const kiln_cpu_artifact &artifact, const kiln_host &host, Executable &executable,
          std::string &error) {
  const kiln_reader &reader = *host.reader;
  kiln_program_info info = {};
  info.size = sizeof info;
  reader.program(program, &info);
  if (!agree(reader, program, info, artifact, error))
    return false;
  executable.artifact = &artifact;
  executable.host = &host;
  executable.constants = info.constants;
  executable.prepacks = settingOf(host, "prepack") != "false";
  executable.entries.resize(info.entry_count);
  size_t launch = 0, extents = 0, arguments = 0;
  for (uint32_t i = 0; i < info.entry_count; ++i) {
    kiln_entry_info entry = {};
    entry.size = sizeof entry;
    reader.entry(program, i, &entry);
    Decoder decoder(reader, program, i, executable, error);
    if (!decoder.decode(entry))
      return false;
    launch = std::max(launch, decoder.largestLaunch);
    extents = std::max(extents, decoder.largestExtents);
    arguments = std::max<size_t>(arguments, entry.argument_count);
  }
  noteWrites(reader, program, executable);
  executable.bases.resize(2 + arguments);
  executable.args.resize(launch);
  executable.launchExtents.resize(extents);
  size_t workers = std::max(1u, host.worker_count);
  executable.workerStatus.resize(workers);
  for (uint32_t i = 0; i < artifact.kernel_count; ++i)
    executable.workerStride =
        std::max(executable.workerStride, static_cast<size_t>(artifact.kernels[i].worker_scratch_bytes));
  executable.workerStride = (executable.workerStride + 63) / 64 * 64;
  executable.workerMemory.reset(new uint8_t[executable.workerStride * workers + 64]);
  uintptr_t address = reinterpret_cast<uintptr_t>(executable.workerMemory.get());
  executable.workerScratch = reinterpret_cast<uint8_t *>((address + 63) / 64 * 64);
  return true;
}

} // namespace kiln::cpu
