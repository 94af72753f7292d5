#include "Artifact.h"

#include <cstring>
#include <sstream>

namespace kiln::opencl {

std::string write(const Artifact &artifact) {
  std::ostringstream out;
  out << "kiln-opencl 2\n";
  for (const Kernel &kernel : artifact.kernels) {
    out << "kernel " << kernel.name << " " << kernel.places << " " << kernel.extents << "\n";
    for (const Launch &launch : kernel.launches) {
      out << "launch " << launch.function << " " << launch.devices << " " << launch.local[0] << " " << launch.local[1];
      out << " " << launch.scratch.size();
      for (int64_t offset : launch.scratch)
        out << " " << offset;
      out << " " << launch.groups.steps.size();
      for (const sdk::Number::Step &step : launch.groups.steps)
        out << " " << static_cast<int>(step.kind) << " " << step.value;
      out << "\n";
    }
  }
  out << "source " << artifact.source.size() << "\n" << artifact.source;
  return out.str();
}

bool read(const std::string &text, Artifact &artifact) {
  size_t end = text.find("\nsource "), line = text.find('\n', end + 1);
  if (!text.starts_with("kiln-opencl 2\n") || end == std::string::npos || line == std::string::npos)
    return false;
  artifact.source = text.substr(line + 1);
  if (text.substr(end + 8, line - end - 8) != std::to_string(artifact.source.size()))
    return false; // cut short
  std::istringstream in(text.substr(13, end - 13));
  for (std::string word; in >> word;) {
    size_t count = 0;
    if (word == "kernel") {
      Kernel kernel;
      in >> kernel.name >> kernel.places >> kernel.extents;
      artifact.kernels.push_back(kernel);
    } else if (word == "launch" && !artifact.kernels.empty()) {
      Launch launch;
      in >> launch.function >> launch.devices >> launch.local[0] >> launch.local[1] >> count;
      for (int64_t offset = 0; count && in >> offset; --count)
        launch.scratch.push_back(offset);
      in >> count;
      launch.groups.steps.clear();
      for (int kind = 0; count && in; --count) {
        sdk::Number::Step step{};
        in >> kind >> step.value;
        step.kind = static_cast<sdk::Number::Step::Kind>(kind);
        launch.groups.steps.push_back(step);
      }
      artifact.kernels.back().launches.push_back(launch);
    } else {
      return false;
    }
    if (!in)
      return false;
  }
  return true;
}

} // namespace kiln::opencl

extern "C" __attribute__((visibility("default"))) const kiln_backend *kiln_backend_plugin(const kiln_offer *offer,
                                                                                          kiln_error *error) {
  using namespace kiln::opencl;
  if (offer->oldest > KILN_ABI_VERSION || offer->newest < KILN_ABI_VERSION) {
    kiln::fail(error, KILN_ERROR_VERSION,
               "the opencl backend speaks version " + std::to_string(KILN_ABI_VERSION) +
                   " of the backend interface, the host " + std::to_string(offer->oldest) + " to " +
                   std::to_string(offer->newest));
    return nullptr;
  }
  static const kiln_backend backend = [] {
    kiln_backend made = {};
    made.size = sizeof made;
    made.version = KILN_ABI_VERSION;
    made.name = {"opencl", 6};
    made.title = {"opencl 1.0", 10};
    made.compile = compileApi();
    made.run = runApi();
    return made;
  }();
  return &backend;
}
