// Which of an entry's arguments hold what they held before: kiln_execution.versions.

#include "runtime/backend/Tree.h"
#include "runtime/program/Program.h"

#include <algorithm>

namespace kiln {

std::vector<size_t> Call::writtenBy(const Placement::Part &part) const {
  const Placement &placement = program_.plan_.placement();
  std::vector<size_t> written;
  forEachNode(placement.program(part.backend).entries[part.entry].root, [&](const kiln_node &node) {
    size_t reads = isLaunch(node) ? 0 : readsOf(node, nullptr);
    if (isLaunch(node))
      reads = program_.manifest_.kernels[placement.wholeKernel(part.backend, node.kernel)].inputs;
    for (size_t i = reads; i < node.place_count; ++i)
      if (node.places[i].space == KILN_SPACE_ARGUMENT && buffers_[node.places[i].argument].home)
        written.push_back(node.places[i].argument);
  });
  std::sort(written.begin(), written.end());
  written.erase(std::unique(written.begin(), written.end()), written.end());
  return written;
}

const uint64_t *Call::versionsFor(const Placement::Part &part) {
  // Of another backend's mirror only what a part reads is brought over, unless all is the process's own memory.
  bool whole = part.backend == 0 || (home().hostMemory() && opened(part.backend).device->hostMemory());
  for (size_t i = 0; i < buffers_.size(); ++i)
    versions_[i] = !whole ? 0 : buffers_[i].home ? buffers_[i].home->version : buffers_[i].version;
  return versions_.data();
}

void Call::noteWrites(const Placement::Part &part) {
  const std::vector<Placement::Part> &parts = program_.plan_.placement().parts(index_);
  for (size_t argument : written_[static_cast<size_t>(&part - parts.data())])
    buffers_[argument].home->changed();
}

void Call::noteAllWritten() {
  for (const Buffer &buffer : buffers_)
    if (buffer.home)
      buffer.home->changed();
}

} // namespace kiln
