// The functions of one kernel.
//
// A kernel is a list of phases with a barrier between them (artifact.h). KernelBuilder makes their functions, keeps
// count of scratch, and knows which values earlier phases have put into memory: in a new phase's Emitter those are
// bound to where they are.
#pragma once

#include "backends/cpu/compile/Emitter.h"
#include "llvm/ADT/SetVector.h"

namespace kiln::cpu {

/// An input that the run side may have packed once (kiln_cpu_prepacking).
struct Prepacking {
  int64_t input = -1, bytes = 0;
  int64_t replaces = -1; // a phase, whose functions then pack; -1: those of addPrepacking
  std::string layout;
};

/// For how long what a launch reads stays as it is: some of these.
enum class Lasting : uint8_t {
  Nowhere = 0,
  Always = 1,    // no entry writes it: a parameter, a constant
  InLoop = 2,    // for at least eight iterations of a loop around the launch
  InLongLoop = 4 // for at least 64 of them
};

class KernelBuilder {
public:
  /// lasting: of each input the sum of what holds where some launch reads it; may be shorter.
  KernelBuilder(mlir::ModuleOp module, const Graph &graph, const Machine &machine,
                llvm::ArrayRef<uint8_t> lasting = {});

  Code code;
  const Graph &graph;
  const Machine &machine;
  std::string error; // why the kernel cannot be compiled: a sentence; empty: none

  /// Lanes for a kernel of this graph's types.
  int64_t width() const { return lanes; }

  /// Appends a phase. `tasks` gives their number from the extents alone; `body` emits code for tasks [begin, end),
  /// which it is handed as i64 values in `emitter.arguments`. Both are called at once, each in a function of its own.
  /// width: the body's lanes, where not the kernel's.
  void addPhase(llvm::function_ref<Value(Emitter &)> tasks, llvm::function_ref<void(Emitter &)> body,
                int64_t width = 0);
  /// The phase of `prepacking`, as addPhase; it is none of the kernel's own.
  void addPrepacking(llvm::function_ref<Value(Emitter &)> tasks, llvm::function_ref<void(Emitter &)> body,
                     int64_t width = 0);
  bool knowsLasting() const { return !lasting.empty(); } // claims do not
  bool isLasting(int input) const {
    return input >= 0 && static_cast<size_t>(input) < lasting.size() && lasting[input];
  }
  bool lasts(int input, Lasting how) const { return isLasting(input) && (lasting[input] & static_cast<uint8_t>(how)); }

  /// Reserves memory of a launch (or of a worker), aligned to 64: the offset. Sizes are at the bounds.
  int64_t reserveScratch(int64_t bytes);
  int64_t reserveWorkerScratch(int64_t bytes);

  /// Where `v` shall be put as a whole: its first output, or scratch, reserved at the first call. Within a phase.
  Value home(Emitter &emitter, uint32_t v);
  /// From the next phase on, `v` is read from its home.
  void computed(uint32_t v);
  bool isComputed(uint32_t v) const { return inMemory.contains(v); }

  int64_t phaseCount = 0, scratchBytes = 0, workerScratchBytes = 0;
  std::optional<Prepacking> prepacking;
  /// Memory of a launch that `other` reserves; nothing is kept of what it does.
  int64_t scratchOf(llvm::function_ref<void()> other);
  /// Notes that the kernel, or a part of it, is computed in that form.
  void note(llvm::StringRef form) { forms.insert(form); }
  /// Those noted, each once: "columns, elementwise".
  std::string form() const;
  /// Phase i's functions: NAME_pI and NAME_tI.
  static std::string phaseName(llvm::StringRef kernel, int64_t phase);
  static std::string tasksName(llvm::StringRef kernel, int64_t phase);
  /// The phase that `prepacking` has where it replaces none.
  static constexpr int64_t prepackingPhase = -1;

private:
  void addFunctions(int64_t phase, llvm::function_ref<Value(Emitter &)> tasks, llvm::function_ref<void(Emitter &)> body,
                    int64_t width);

  int64_t lanes;
  llvm::SmallVector<uint8_t> lasting;
  llvm::DenseMap<uint32_t, int64_t> scratchHomes;
  llvm::DenseSet<uint32_t> inMemory;
  llvm::SmallSetVector<llvm::StringRef, 2> forms;
};

/// Emits all phases of the kernel; false, with builder.error set, where it has something that cannot be compiled.
bool buildKernel(KernelBuilder &builder);

/// Elementwise, layout and reductions; and the whole ops that are neither products nor reductions (Single*.cpp).
bool buildLoops(KernelBuilder &builder);
/// Phases that compute the results of one whole op into their homes.
bool buildSingle(KernelBuilder &builder, const Op &op);

/// Ops that compute the same become one.
void mergeEqualOps(Graph &graph);
/// Joins dimensions that nothing in the kernel tells apart.
void collapseDimensions(Graph &graph);

} // namespace kiln::cpu
