// The text around a dispatch's statements.
//
// What the emitter prints is about a kernel's places and extents; here they become bindings and words. A strategy makes
// a Shader and an Emitter over it for each dispatch, prints, and calls finish().
#pragma once

#include "backends/sdk/forms/Workgroup.h"
#include "backends/vulkan/compile/Plan.h"
#include <map>

namespace kiln::vulkan {

using sdk::ScratchArray;

class Shader : public sdk::Workgroup {
public:
  /// All three outlive the shader.
  Shader(const sdk::Graph &graph, const Settings &settings, const std::vector<ScratchArray> &scratch)
      : graph(graph), settings(settings), scratch(scratch) {}

  std::string load(uint32_t place, kiln_dtype dtype, const std::string &index) override;
  std::string store(uint32_t place, kiln_dtype dtype, const std::string &index, const std::string &value) override;
  std::string extent(int32_t slot) override;
  std::string report(kiln_status_kind kind, uint32_t op, const std::string &condition, const std::string &value,
                     const std::string &limit) override;

  /// Vector number `index` of a place: four elements of f32 as a vec4, or eight of f16 as a uvec4; only where
  /// canLoadVectors.
  std::string loadVector(uint32_t place, const std::string &index) override;
  /// Whether the place begins at a multiple of 16 bytes in every launch and is of that type.
  bool canLoadVectors(uint32_t place, kiln_dtype dtype) const override;

  /// A number in a word of its own.
  std::string word(const Number &number) override;
  /// An array in workgroup memory; gives its name.
  std::string shared(const std::string &type, int64_t elements, uint32_t elementBytes) override;
  void local(uint32_t x, uint32_t y = 1) override;
  /// Workgroups of so many subgroups, along y; x is the device's subgroup size, mostLanes at most.
  void subgroups(uint32_t count);
  static constexpr uint32_t mostLanes = 64;
  /// A constant that the run side sets to what the kind says of the device; gives its name.
  std::string specialize(uint32_t kind, int32_t otherwise);
  /// Text of a struct or a function that the body uses; stands in front of the places.
  void define(const std::string &text) { globals.push_back(text); }
  /// Turns cooperative matrices on, and the memory model that comes with them.
  void useMatrices();

  void grid(const Number &groups) override;

  Dispatch finish(sdk::Emitter &emitter);

private:
  struct Place {
    std::vector<size_t> bindings; // its parts
    size_t baseWord = SIZE_MAX;
    kiln_dtype dtype = KILN_F32;
    std::string storage;
    bool vectors = false, scalars = false;
    uint32_t access = 0;
    uint64_t bytes = 0; // at the bounds
  };
  Place &use(uint32_t place, kiln_dtype dtype, uint32_t access);
  /// The input that the place is written upon; itself where it has memory of its own.
  uint32_t home(uint32_t place) const;
  /// Whether the shader may do several launches at once; asked when all is printed.
  bool canBatch() const;
  kiln_dtype dtypeOf(uint32_t place) const;
  std::string reference(uint32_t number, Place &place, const std::string &index);
  std::string declarations(const sdk::Emitter &emitter) const;
  std::string declare(uint32_t number, const Place &place, const sdk::Emitter &emitter) const;
  std::string block(const std::string &name, size_t binding, bool reads, bool writes, const std::string &content) const;
  std::string declareWords() const;
  std::string launchOf() const;

  const sdk::Graph &graph;
  const Settings &settings;
  const std::vector<ScratchArray> &scratch;
  Dispatch dispatch;
  std::map<uint32_t, Place> places;
  std::map<std::string, size_t> extents;
  std::vector<std::string> globals;
  std::set<std::string> extensions;
  std::string pragmas;
  size_t statusBinding = SIZE_MAX;
  std::string folding; // of the grid
  bool folded = false;
};

/// The most workgroups along one axis of a grid that every device takes.
constexpr int64_t mostGroups = 65535;

} // namespace kiln::vulkan
