// An entry's tree, unrolled into commands.
//
// At given extents and buffers every place is an address and every count a number, so that an entry is a list of
// dispatches and copies, with what bytes each reads and writes. Only what is decided on the device (while, if) cuts it
// into segments. Knows Vulkan's limits, but calls nothing of it.
#pragma once

#include "backends/vulkan/run/Artifact.h"
#include <vector>

namespace kiln::vulkan {

/// Memories are numbered: these, then the arguments.
enum : uint32_t {
  arenaMemory = 0,
  constantMemory = 1,
  recordMemory = 2,    ///< kiln_vk_record, one for each dispatch that has one
  wordMemory = 3,      ///< words that are too many to push
  conditionMemory = 4, ///< bytes that while and if test
  firstArgument = 5
};

/// Bytes that a command touches, as Vulkan sees them: whole bindings.
struct Range {
  uint32_t memory;
  uint32_t access; ///< KILN_VK_READS, KILN_VK_WRITES
  uint64_t begin, end;
};

struct Command {
  uint32_t kernel;               ///< KILN_NONE: a copy
  uint32_t dispatch;             ///< of the artifact
  uint32_t launch;               ///< its launch's number in the segment
  uint32_t firstRange, ranges;   ///< a dispatch's bindings in order; a copy's source and destination
  uint32_t firstWord, wordCount; ///< push words; none where they are in wordMemory
  uint32_t grid[3];
  uint32_t record; ///< KILN_NONE: it has none
};

/// Runs without the host. Commands stand in program order, which may be changed where the ranges allow it.
struct Segment {
  uint32_t firstCommand = 0, commands = 0;
  uint32_t launches = 0;
  uint64_t bytesRead = 0, bytesWritten = 0; ///< by places, scratch included
};

struct Step {
  enum Kind { run, loop, branch } kind;
  uint32_t number;                 ///< run: the segment. Else: the condition
  std::vector<Step> first, second; ///< loop: condition, body. branch: then, else
};

struct Trace {
  std::vector<Command> commands;
  std::vector<Range> ranges;
  std::vector<int32_t> words;
  std::vector<Segment> segments;
  std::vector<Step> steps;
  std::vector<std::pair<uint64_t, std::vector<int32_t>>> storedWords; ///< offset in wordMemory, words
  uint32_t records = 0, conditions = 0;
  uint64_t wordBytes = 0;
  uint64_t operandBytes = 0; ///< sum of the launches' operands and of what copies read and write
};

struct TraceInput {
  const kiln_reader *reader;
  const kiln_program *program;
  kiln_entry_info entry;
  const Artifact *artifact;
  /// For each kernel, those of its variants that the device runs.
  const std::vector<std::vector<uint32_t>> *variants;
  std::vector<int64_t> extents;    ///< the table; loops' slots are written
  std::vector<uint32_t> arguments; ///< each argument's memory: the same for two that are the same buffer
  std::vector<uint64_t> sizes;     ///< of each memory
  uint64_t alignment, maxRange;    ///< of bindings
  uint32_t maxGroups[3];
  uint32_t recordStride; ///< bytes between records
};

Failure trace(TraceInput &input, Trace &result);

} // namespace kiln::vulkan
