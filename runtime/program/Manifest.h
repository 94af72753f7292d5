// The manifest that a program carries (docs/architecture.md), read back into structs.
#pragma once

#include "runtime/backend/Settings.h"
#include "runtime/support/Dim.h"
#include "runtime/support/Json.h"
#include "runtime/support/Tensor.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

enum class Role : uint8_t {
  Input,
  Parameter,
  State,
  Seed,
  Step,
  Loss,
  Metric,
  Output,
  Gradient,
  Part,
  Weight,
  Arranged ///< a parameter in another order in memory
};
const char *roleName(Role role);

/// dtype and symbolic shape.
struct TypeSpec {
  kiln_dtype dtype = KILN_F32;
  std::vector<Dim> shape;
  std::string str() const;
};

struct ParameterSpec {
  std::string name;
  TypeSpec type;
  bool trainable = true;
  Json init;
};

struct StateSpec {
  std::string name;
  TypeSpec type;
  std::string kind; // "persistent", "session", "optimizer"
  int batchAxis = -1;
  Json init;
  bool isSession() const { return kind == "session"; }
};

struct FieldSpec {
  std::string name;
  TypeSpec type;
};

/// One data source of the recipe.
struct SourceSpec {
  std::string name, reader, path;
  Json options;
  std::vector<FieldSpec> fields;
  /// Whether its rows are in an order, each by itself, so that `run --input NAME=DATA.FIELD` takes them.
  bool givesRows() const;
  /// Whether it makes a field (x - mean) / deviation, and the option that says so.
  bool normalises(const std::string &field) const;
  static const char *normalisedBy(const std::string &field);
};

struct ArgumentSpec {
  Role role = Role::Input;
  std::string name;
  TypeSpec type;
  std::vector<size_t> order; ///< of what is arranged: axis k is the parameter's axis order[k]
  int64_t bytes = 0;
  /// Of an input whose numbers choose among so many rows or classes, how many, and the model's argument that says so;
  /// 0 and empty where that is not known.
  int64_t below = 0;
  std::string belowBy;
  bool donated = false;
  bool result = false;
  /// Whether `run --text` makes it, a row of tokens for each text.
  bool isText() const;
};

struct SymbolSpec {
  std::string name;
  int64_t least = 1, bound = 0;
  int64_t limit = 0;       // the highest bound that the model's text allows; 0 where it names none
  std::string limitName{}; // what `--set` raises it by; empty: the text alone does
};

/// "B is 64; this program was built for B <= 16: build with --bound B=64": a dimension above its bound.
std::string aboveBound(const SymbolSpec &symbol, int64_t value, const std::string &entry);

struct EntrySpec {
  std::string name;
  std::vector<ArgumentSpec> arguments;
  std::vector<SymbolSpec> symbols;
  /// After the symbols; loop slots ("@0") hold nothing here.
  std::vector<Dim> extents;
  size_t loopSlots = 0;
  /// Have to be at least 1.
  std::vector<Dim> nonEmpty;
  int64_t arenaBytes = 0, lowerBound = 0;
  /// Pieces of the arena that no kernel may write; only in programs that were built to be watched.
  struct RedZone {
    int64_t offset = 0, bytes = 0;
    std::string after; ///< the buffer in front of it
  };
  std::vector<RedZone> redZones;
  /// One execution at the bounds, counted when it was compiled; 0 where the manifest does not say.
  Json plan;

  size_t extentCount() const { return extents.size() + loopSlots; }
  const ArgumentSpec *find(Role role, std::string_view name, bool result) const;
};

struct KernelSpec {
  std::string name;
  uint32_t backend = 0; ///< among the program's backends
  struct Op {
    std::string name, location;
  };
  std::vector<Op> ops;
  /// The coarsest float that one of several ops gives, where that is bf16 or f16: whether it is rounded to that within
  /// the kernel is a backend's choice.
  std::optional<kiln_dtype> narrowest;
  /// What a launch writes; empty where the manifest does not say. Slots index the launch's extents.
  struct Output {
    kiln_dtype dtype = KILN_F32;
    std::vector<kiln_extent> dims;
    int64_t op = -1;
  };
  /// What a launch costs: sums of a factor times the launch's extents in these slots.
  struct Term {
    double factor;
    std::vector<size_t> slots;
  };
  std::vector<Term> flops, bytes;
  size_t inputs = 0;
  std::vector<Output> outputs;
  std::vector<Output> inputTypes; ///< of a kernel that is not on the first backend
};

/// A recipe of a model that has several, or one with a name: with steps of its own, or a series of others.
struct StageSpec {
  std::string name, suffix; ///< behind the names of its entries
  Json train;
  std::vector<SourceSpec> data;
  std::vector<std::string> stages; ///< of a series
  int64_t rounds = 1;
  bool isSeries() const { return !stages.empty(); }
};

struct Manifest {
  std::string model, triple, cpu;
  std::vector<std::string> backends; ///< the first one: where parameters live
  /// By backend: names and values of the options that it was built with.
  std::map<std::string, std::vector<std::pair<std::string, std::string>>> backendOptions;
  std::vector<ParameterSpec> parameters;
  std::vector<StateSpec> states;
  std::vector<SourceSpec> data;
  Json train, generate;
  std::vector<std::string> labels; ///< what the classes are called that the model gives scores for; none: not said
  Json picture;                    ///< what pictures are made (runtime/files/Picture.h); not an object: not said
  int64_t samplingRate = 0;        ///< of recordings, samples a second; 0: not said
  std::vector<StageSpec> stages;   ///< in the order of the file; none where there is one recipe without a name
  std::string stage, suffix;       ///< the recipe that `train` and `data` are of, and what its entries' names end with
  std::vector<KernelSpec> kernels;
  int64_t constantBytes = 0;
  std::vector<EntrySpec> entries;

  /// The JSON, plain or as gzip has packed it. Throws Error.
  static Manifest parse(std::string_view text);

  /// What the program's backends are set to when it starts: what `options` say, and, of options of both sides, what it
  /// was built with. Throws Error.
  std::vector<std::vector<Setting>> readSettings(const std::vector<std::string> &options,
                                                 const std::vector<const BackendTables *> &backends) const;

  const EntrySpec *findEntry(std::string_view name) const;
  /// Throws Error, with the names that there are.
  void chooseStage(const std::string &name);
  const StageSpec *findStage(std::string_view name) const;
  /// The series that a stage stands in; null where it stands for itself.
  const StageSpec *seriesOf(std::string_view stage) const;
  /// "pretrain, finetune"
  std::string stageNames() const;
  /// Whether a run that is at this stage needs the state: an optimizer's states belong to their stage.
  bool keeps(const StateSpec &state) const;
  const SourceSpec *findSource(std::string_view name) const;
  /// Why the program draws no sequences; empty: it does.
  std::string undrawn() const;
  /// Into how many shards a recipe's batch is cut (0: it is not): of the chosen recipe, and the most of all.
  int64_t shards() const { return shardsOf(train); }
  int64_t mostShards() const;
  static int64_t shardsOf(const Json &train);
  /// For error texts: "forward, loss, ..."
  std::string entryNames() const;
};

} // namespace kiln
