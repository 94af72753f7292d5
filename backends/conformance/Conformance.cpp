#include "backends/conformance/Conformance.h"

namespace kiln::conformance {

void run(const std::shared_ptr<host::Backend> &backend, const Linker &linker, const Options &options, Report &report) {
  Context context{backend, linker, options, report};
  context.target.size = sizeof context.target;
  context.target.jobs = 1;
  context.target.cpu = {options.targetCpu.data(), options.targetCpu.size()};
  context.target.device = {options.targetDevice.data(), options.targetDevice.size()};
  options.compileSettings.giveTo(context.target);
  Row row{"interface", "capabilities", {}, {}, Outcome::Failure, {}, 0, 0, 1};
  host::Capabilities capabilities;
  report.only = options.only;
  if (!report.begins(row, /*needed=*/true))
    return; // it crashed
  if (!backend->canCompile() || !backend->canRun()) {
    row.reason = std::string("the plugin has no ") + (backend->canCompile() ? "run" : "compile") +
                 " side: there is nothing to run";
    return report.add(row);
  }
  if (!backend->capabilities(context.target, capabilities, row.reason))
    return report.add(row);
  context.flags = capabilities.flags;
  checkOps(context);
  checkInterface(context);
  checkThreads(context);
  checkModels(context);
}

} // namespace kiln::conformance
