// How kernels become OpenCL C: the sdk's forms, in a frame of this backend's.
#pragma once

#include "Artifact.h"

#include <kiln/sdk/forms/Forms.h>

#include <set>

namespace kiln::opencl {

/// A launch while it is printed. Extents are arguments; an error in the data is recorded by whom the record lets.
class Group : public sdk::Workgroup {
public:
  Group(const sdk::Graph &graph, const std::vector<sdk::ScratchArray> &scratch, const sdk::EmitterOptions &options)
      : graph(graph), scratch(scratch), indexType(options.wideIndex ? "long" : "int") {}

  std::string extent(int32_t slot) override { return "e" + std::to_string(slot); }
  std::string report(kiln_status_kind kind, uint32_t op, const std::string &condition, const std::string &value,
                     const std::string &limit) override;
  void local(uint32_t x, uint32_t y) override;
  void grid(const sdk::Number &groups) override { launch.groups = groups; }
  bool exactGrid() const override { return true; }
  std::string word(const sdk::Number &number) override;
  std::string shared(const std::string &type, int64_t elements, uint32_t bytes) override;
  bool canLoadVectors(uint32_t place, kiln_dtype dtype) const override;
  std::string loadVector(uint32_t place, const std::string &index) override;
  std::string loadLanes(uint32_t place, const std::string &first) override;

  /// The function, in a frame.
  std::string text(sdk::Emitter &emitter) const;

  Launch launch;

private:
  kiln_dtype dtypeOf(uint32_t place) const;

  const sdk::Graph &graph;
  const std::vector<sdk::ScratchArray> &scratch;
  const std::string indexType;
  std::string head; // declarations before the body
  size_t names = 0;
};

/// One kernel: what the forms print of it.
class Source : public sdk::Builder {
public:
  explicit Source(const sdk::Graph &graph);

  void variant(Device device) override { variants.push_back({device, {}, {}}); }
  void clear() override;
  bool launch(const std::vector<sdk::ScratchArray> &scratch,
              const std::function<bool(sdk::Workgroup &, sdk::Emitter &)> &print) override;
  uint32_t elementsOfGroup(bool loops) const override { return loops ? 8 : 64; } // what runs long, over more groups
  /// The kernel; adds its text and the names of what that calls.
  Kernel finish(std::string &text, std::set<std::string> &calls);

private:
  struct Variant {
    Device device;
    std::vector<Launch> launches;
    std::string text;
  };
  std::vector<Variant> variants;
  std::set<std::string> functions;
  size_t names = 0;
};

} // namespace kiln::opencl
