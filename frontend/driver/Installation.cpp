// Where things lie, and what the backends that are found there know.

#include "frontend/driver/Compile.h"

#include "backends/api/kiln_text.h"

#include "absl/strings/str_cat.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"

namespace kiln {

Installation::Installation(std::string libraries)
    : libraries_(std::move(libraries)), backends_(absl::StrCat(libraries_, "/kiln/backends")) {}

bool isThisMachine(const std::string &triple) {
  llvm::Triple target(llvm::Triple::normalize(triple)), here(llvm::sys::getDefaultTargetTriple());
  return target.getArch() == here.getArch() && target.getOS() == here.getOS();
}

std::string Installation::librariesFor(const std::string &triple) const {
  const LinkTarget *target = linkTargetOf(triple);
  return !target || isThisMachine(triple) ? libraries_ : absl::StrCat(libraries_, "/kiln/targets/", target->triple);
}

std::string Installation::profileOf(const std::string &backend, const ModelOptions &options) {
  if (options.targetDevice.empty())
    return "";
  std::string why;
  std::shared_ptr<host::Backend> found = backends_.find(backend, why);
  kiln_target target{};
  target.size = sizeof target;
  target.device = text(options.targetDevice);
  host::Capabilities capabilities;
  bool takes = found && found->canCompile() && found->capabilities(target, capabilities, why);
  return takes ? options.targetDevice : "";
}

std::vector<std::string> Installation::backendOptionsOf(const std::string &backend, const ModelOptions &options) {
  std::vector<std::string> its;
  if (options.backendOptions.empty())
    return its;
  std::string why;
  std::shared_ptr<host::Backend> found = backends_.find(backend, why), cpu = backends_.find("cpu", why);
  for (const std::string &text : options.backendOptions)
    if ((found && hasOption(found->tables(), text)) || (cpu && hasOption(cpu->tables(), text)))
      its.push_back(text);
  return its;
}

} // namespace kiln
