#include "tests/backends/vulkan/counted/Counted.h"

#include "backends/vulkan/compile/Compile.h"
#include "backends/vulkan/run/Executable.h"
#include "backends/vulkan/run/Run.h"

namespace kiln::test {

Counted &lastExecution() {
  static Counted counted;
  return counted;
}

static std::string list(const vulkan::Executable &executable) {
  const vulkan::Recording &recording = *executable.last;
  std::string text;
  for (size_t segment = 0; segment < recording.schedules.size(); ++segment)
    for (const vulkan::Batch &batch : recording.schedules[segment].batches) {
      const vulkan::Schedule &schedule = recording.schedules[segment];
      uint32_t number = schedule.order[batch.first];
      const vulkan::Command &command =
          recording.trace.commands[recording.trace.segments[segment].firstCommand + number];
      kiln_kernel_info kernel = {};
      kernel.size = sizeof kernel;
      if (command.kernel != KILN_NONE)
        executable.reader->kernel(executable.reader->program_kernel(executable.program, command.kernel), &kernel);
      std::string name = command.kernel == KILN_NONE ? "copy" : std::string(kernel.name.data, kernel.name.size);
      text += vulkan::format("%4u %s x %u, workgroups %u %u %u, bindings %u, words %u\n", schedule.levelOf[number],
                             name.c_str(), batch.count, command.grid[0], command.grid[1], command.grid[2],
                             command.ranges, command.wordCount);
    }
  return text;
}

static int32_t execute(kiln_executable *executable, const kiln_execution *execution, kiln_error *error) {
  const kiln_run_api *api = kiln_vulkan_run_api();
  if (int32_t code = api->execute(executable, execution, error))
    return code;
  const auto &internals = *reinterpret_cast<vulkan::Executable *>(executable);
  Counted &counted = lastExecution();
  counted.counters.size = sizeof counted.counters;
  counted.operandBytes = internals.last->trace.operandBytes;
  counted.depth = internals.last->depth;
  counted.list = list(internals);
  return api->counters(executable, &counted.counters, error);
}

const kiln_backend *countedVulkan(const kiln_offer *offer, kiln_error *error) {
  static const kiln_run_api run = [] {
    kiln_run_api api = *kiln_vulkan_run_api();
    api.execute = execute;
    return api;
  }();
  static const kiln_backend backend = [] {
    kiln_backend both = *kiln_vulkan_run_backend();
    both.compile = &vulkan::compileApi();
    both.run = &run;
    return both;
  }();
  return kiln_backend_vulkan(offer, error) ? &backend : nullptr;
}

} // namespace kiln::test
