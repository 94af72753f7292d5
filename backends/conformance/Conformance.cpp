#include "backends/conformance/Conformance.h"

namespace kiln::conformance {

void run(const std::shared_ptr<host::Backend> &backend, const Linker &linker, const Options &options, Report &report) {
  Context context{backend, linker, options, report};
  context.target.size = sizeof context.target;
  context.target.jobs = 1;
  context.target.cpu = {"native", 6};
  auto fatal = [&](const char *what, std::string why) {
    report.add({"interface", what, {}, {}, Outcome::Failure, std::move(why), 0, 0, 1});
  };
  std::string error;
  host::Capabilities capabilities;
  if (!backend->canCompile() || !backend->canRun())
    return fatal("two sides", std::string("the plugin has no ") + (backend->canCompile() ? "run" : "compile") +
                                  " side: there is nothing to run");
  if (!backend->capabilities(context.target, capabilities, error))
    return fatal("capabilities", error);
  context.flags = capabilities.flags;
  checkOps(context);
  if (!options.only.empty())
    return;
  checkInterface(context);
  checkThreads(context);
  checkModels(context);
}

} // namespace kiln::conformance
