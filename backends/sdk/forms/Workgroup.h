// What forms that work in workgroups ask of a backend.
//
// A form makes one or several variants of a kernel, each a list of launches. For each launch the backend gives a
// Workgroup and an Emitter over it, the form prints the body of an invocation, and the backend puts its own frame
// around that: arguments, bindings, the kernel's head. How workgroups are spelt the language says.
#pragma once

#include "../Emitter.h"
#include "Number.h"
#include <algorithm>

namespace kiln::sdk {

/// A part of the launch's scratch that holds an array. Places of a launch are numbered: inputs, outputs, scratch.
struct ScratchArray {
  int64_t offset = 0; // bytes, a multiple of scratchAlignment
  kiln_dtype dtype = KILN_F32;
  Number elements;
};
constexpr int64_t scratchAlignment = 256;
inline int64_t alignScratch(int64_t bytes) {
  return (bytes + scratchAlignment - 1) / scratchAlignment * scratchAlignment;
}

/// One launch, while it is printed.
class Workgroup : public Surroundings {
public:
  /// Invocations of a workgroup.
  virtual void local(uint32_t x, uint32_t y = 1) = 0;
  /// Begins the body: from here on the index `group` is the workgroup's number. Those beyond `groups`, should there be
  /// any, have to leave memory alone.
  virtual void grid(const Number &groups) = 0;
  /// Whether there are none beyond.
  virtual bool exactGrid() const { return false; }
  /// An index that holds the number.
  virtual std::string word(const Number &number) = 0;
  /// An array in memory that a workgroup shares; gives its name.
  virtual std::string shared(const std::string &type, int64_t elements, uint32_t elementBytes) = 0;
  /// Whether the place is of that type and 16 bytes of it can be read at once at every multiple of as many.
  virtual bool canLoadVectors(uint32_t, kiln_dtype) const { return false; }
  /// Vector number `index` of such a place: four elements of f32, or eight of f16 in four words.
  virtual std::string loadVector(uint32_t, const std::string &) { return {}; }
  /// Language::lanes elements of f32 from index `first` on, whichever it is. For languages that have such vectors.
  virtual std::string loadLanes(uint32_t, const std::string &) { return {}; }
};

/// The number of invocations in a workgroup where a form has no reason for another.
constexpr uint32_t usualLocal = 128;

/// A backend that takes one kernel's launches.
class Builder {
public:
  /// The graph outlives the builder.
  Builder(const Graph &graph, EmitterOptions options) : graph(graph), options(options) {}
  virtual ~Builder() = default;

  /// The launches that follow are one way to compute the kernel. Each way is right on every device; of those that are
  /// made for it a device takes the first.
  enum class Device { Any, Processor };
  virtual void variant(Device device) = 0;
  /// Drops all that was built.
  virtual void clear() = 0;
  /// Invocations of a workgroup where each computes one element; loops: each in a loop.
  virtual uint32_t elementsOfGroup(bool) const { return usualLocal; }
  /// Adds a launch, which print() prints. Where that gives false the kernel is not of the form: false, and whatever
  /// has been built is of no use.
  virtual bool launch(const std::vector<ScratchArray> &scratch,
                      const std::function<bool(Workgroup &group, Emitter &emitter)> &print) = 0;
  void needScratch(int64_t bytes) { scratchBytes = std::max(scratchBytes, bytes); }

  bool canPrint(const std::vector<uint32_t> &values) const;
  /// Place numbers.
  uint32_t outputPlace(size_t output) const { return static_cast<uint32_t>(graph.inputs.size() + output); }
  uint32_t scratchPlace(size_t array) const { return outputPlace(graph.outputs.size() + array); }

  const Graph &graph;
  const EmitterOptions options;
  int64_t scratchBytes = 0; // that any of the variants needs
  std::string_view form;    // that the kernel was given, for people
};

//===-- Printing --------------------------------------------------------------------------------------------------===//

/// The invocation's number along x or y, as an index.
std::string localX(const Emitter &emitter);
std::string localY(const Emitter &emitter);
/// "const TYPE name = text;", an index.
void declare(Emitter &emitter, const std::string &name, const std::string &text);
void barrier(Emitter &emitter);
Expr number(Workgroup &group, Emitter &emitter, const Number &number);
/// The smaller of two indices.
Expr least(Emitter &emitter, const Expr &a, const Expr &b);
/// An invocation for each item: declares `item` and opens a scope for those below `count`.
void openItems(Workgroup &group, Emitter &emitter, const Number &count, uint32_t local);
/// `lanes` invocations for each of `count` items, `rows` items a workgroup: declares `lane`, `valid`, and the item
/// under that name. Invocations without an item of their own go through the last one, to meet the others at the
/// barriers.
void declareRows(Workgroup &group, Emitter &emitter, const Number &count, uint32_t lanes, uint32_t rows,
                 const std::string &name);
/// Opens a scope for one invocation of each valid item.
void openFirst(Emitter &emitter, uint32_t lanes);
/// A value whose elements are what `held` is, as long as they are asked for at `index`; else `mismatch` is set: the
/// kernel is then not of the form that it was taken for.
void defineAt(Emitter &emitter, uint32_t value, const Index &index, const Expr &held, bool &mismatch);

} // namespace kiln::sdk
