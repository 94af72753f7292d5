// A function's plan, from its signature to its explanation.

#include "passes/PlanMemory/PlanMemory.h"
#include "ir/Classes.h"

#include "passes/PlanMemory/Verify.h"
#include "passes/support/Entries.h"

#include "mlir/IR/Threading.h"
#include "llvm/Support/Format.h"

#include <mutex>

namespace kiln::plan {

static void readSignature(FunctionPlan &plan) {
  mlir::func::FuncOp function = plan.function;
  plan.bounds = boundsOf(function);
  auto see = [&](mlir::Type type) {
    for (const Dim &dim : dimsOf(type))
      for (const std::string &symbol : dim.symbols())
        if (!llvm::is_contained(plan.symbols, symbol))
          plan.symbols.push_back(symbol);
  };
  llvm::for_each(function.getArgumentTypes(), see);
  llvm::for_each(function.getResultTypes(), see);
}

mlir::FailureOr<FunctionPlan> planFunction(mlir::func::FuncOp function, const Options &options) {
  FunctionPlan plan;
  plan.function = function;
  plan.alignment = options.alignment;
  plan.redZone = options.redZone;
  if (!function.getBody().hasOneBlock())
    return function.emitError() << "a function of several blocks has no memory plan";
  mlir::FunctionType signature = function.getFunctionType();
  for (mlir::Type type : llvm::concat<const mlir::Type>(signature.getInputs(), signature.getResults()))
    if (!isKilnTensor(type))
      return function.emitError() << "takes or gives " << type
                                  << ", which has no place in memory: no tensor of the dialect";
  readSignature(plan);
  BoundSizes sizes(plan.bounds);
  scheduleBlock(function.getBody().front(), sizes);
  if (mlir::failed(assignPlaces(plan, options, sizes)))
    return mlir::failure();
  computeLifetimes(plan);
  assignOffsets(plan);
  if (mlir::failed(verifyPlan(plan, plan.bounds)))
    return mlir::failure();
  if (!plan.symbols.empty()) { // smaller extents prove that strides follow the actual shapes
    Bounds small = plan.bounds;
    for (auto &[name, bound] : small)
      bound = std::min<int64_t>(bound, 2);
    if (mlir::failed(verifyPlan(plan, small)))
      return mlir::failure();
  }
  return plan;
}

static std::string describe(const FunctionPlan &plan, const Buffer &buffer) {
  std::string text;
  llvm::raw_string_ostream out(text);
  mlir::Operation *op = buffer.op;
  if (!buffer.origin) {
    out << "scratch";
  } else if (auto group = llvm::dyn_cast<GroupOp>(op)) {
    auto result = llvm::cast<mlir::OpResult>(buffer.origin);
    mlir::Operation *inner =
        group.getBody().front().getTerminator()->getOperand(result.getResultNumber()).getDefiningOp();
    out << (inner ? inner->getName().stripDialect() : llvm::StringRef("copy"));
    if (inner)
      op = inner;
  } else {
    out << op->getName().stripDialect();
  }
  mlir::Location location = op->getLoc();
  if (auto fused = llvm::dyn_cast<mlir::FusedLoc>(location); fused && !fused.getLocations().empty())
    location = fused.getLocations().back();
  if (auto file = llvm::dyn_cast<mlir::FileLineColLoc>(location))
    out << "  " << file.getFilename().getValue() << ":" << file.getLine() << ":" << file.getColumn();
  return text;
}

std::vector<RedZone> redZones(const FunctionPlan &plan) {
  std::vector<RedZone> zones;
  if (plan.redZone == 0)
    return zones;
  std::vector<const Buffer *> buffers;
  for (const Buffer &buffer : plan.buffers)
    if (buffer.begin >= 0 && buffer.bytes > 0)
      buffers.push_back(&buffer);
  llvm::sort(buffers, [](const Buffer *a, const Buffer *b) { return a->offset < b->offset; });
  RedZone zone;
  for (const Buffer *buffer : buffers) {
    zone.bytes = buffer->offset - zone.offset;
    zones.push_back(zone);
    zone = {buffer->offset + buffer->bytes, 0, describe(plan, *buffer)};
  }
  zone.bytes = plan.arenaBytes - zone.offset;
  zones.push_back(zone);
  return zones;
}

// Bytes that all launches together read and write, a loop's as often as it runs at its bound.
static int64_t traffic(const FunctionPlan &plan, const Step &step, BoundSizes &sizes) {
  int64_t result = 0;
  if (step.kind == Step::Kind::launch) {
    for (mlir::Type type : step.op->getOperandTypes())
      result += sizes.of(type);
    for (mlir::Type type : step.op->getResultTypes())
      result += sizes.of(type);
  } else if (step.kind == Step::Kind::copy) {
    result = 2 * upperBound(step.count, plan.bounds).value_or(0);
  }
  for (const Step &child : step.children)
    result += traffic(plan, child, sizes);
  return step.kind == Step::Kind::repeat ? result * upperBound(step.count, plan.bounds).value_or(1) : result;
}

static int64_t launches(const FunctionPlan &plan, const Step &step) {
  int64_t result = step.kind == Step::Kind::launch;
  for (const Step &child : step.children)
    result += launches(plan, child);
  return step.kind == Step::Kind::repeat ? result * upperBound(step.count, plan.bounds).value_or(1) : result;
}

// What an entry holds while it runs: the arena, and the arguments by what they are for.
static void explainArguments(const FunctionPlan &plan, BoundSizes &sizes, llvm::raw_ostream &out) {
  int64_t inputs = 0, parameters = 0, states = 0, results = 0, constants = 0;
  for (const Argument &argument : plan.arguments) {
    bool has = static_cast<bool>(argument.attributes);
    int64_t &sum = argument.result                                         ? results
                   : has && argument.attributes.contains("kiln.parameter") ? parameters
                   : has && argument.attributes.contains("kiln.state")     ? states
                                                                           : inputs;
    sum += sizes.of(argument.type);
  }
  for (ConstantOp constant : plan.constants)
    constants += sizes.of(constant->getResult(0).getType());
  out << "held while it runs: inputs " << inputs << ", parameters " << parameters << ", states " << states
      << ", results " << results << ", constants " << constants << ", arena " << plan.arenaBytes << ": together "
      << inputs + parameters + states + results + constants + plan.arenaBytes << " bytes\n";
}

std::string explain(const FunctionPlan &plan) {
  std::string text;
  llvm::raw_string_ostream out(text);
  BoundSizes sizes(plan.bounds);
  mlir::func::FuncOp function = plan.function;
  out << function.getName() << ": arena " << plan.arenaBytes << " bytes, lower bound " << plan.lowerBound;
  if (plan.lowerBound > 0)
    out << llvm::format(" (%.3f)", static_cast<double>(plan.arenaBytes) / plan.lowerBound);
  out << ", " << plan.buffers.size() << " buffers; " << launches(plan, plan.root) << " launches read and write "
      << traffic(plan, plan.root, sizes) << " bytes\n";
  explainArguments(plan, sizes, out);
  std::vector<int64_t> held = liveBytes(plan, /*alignment=*/1);
  int64_t peak = std::max_element(held.begin(), held.end()) - held.begin();
  std::vector<const Buffer *> live;
  for (const Buffer &buffer : plan.buffers)
    if (buffer.begin >= 0 && buffer.begin <= peak && peak <= buffer.end)
      live.push_back(&buffer);
  llvm::sort(live, [](const Buffer *a, const Buffer *b) {
    return std::make_pair(-a->bytes, a->offset) < std::make_pair(-b->bytes, b->offset);
  });
  out << "live at the peak, step " << peak << " of " << plan.root.end + 1 << ":\n";
  out << "      bytes     offset  steps          value\n";
  for (const Buffer *buffer : llvm::ArrayRef(live).take_front(20)) {
    out << llvm::format("%11lld %10lld  %-13s  ", static_cast<long long>(buffer->bytes),
                        static_cast<long long>(buffer->offset),
                        (std::to_string(buffer->begin) + "-" + std::to_string(buffer->end)).c_str());
    out << describe(plan, *buffer) << "\n";
  }
  if (live.size() > 20)
    out << "  ... and " << live.size() - 20 << " smaller ones\n";
  return text;
}

} // namespace kiln::plan

namespace kiln {

#define GEN_PASS_DEF_PLANMEMORY
#include "passes/PlanMemory/PlanMemory.h.inc"

static std::string text(const plan::FunctionPlan &plan, const plan::Place &place) {
  std::string result;
  switch (place.space) {
  case plan::Place::Space::arena:
    result = "arena+" + std::to_string(plan.buffers[place.index].offset + place.offset);
    break;
  case plan::Place::Space::argument:
    result = "arg" + std::to_string(place.index);
    break;
  case plan::Place::Space::constant:
    result = "const" + std::to_string(place.index);
    break;
  }
  for (auto [level, stride] : llvm::enumerate(place.strides))
    if (stride != Dim())
      result += "+" + stride.str() + "*i" + std::to_string(level);
  return result;
}

static void annotate(const plan::FunctionPlan &plan, const plan::Step &step) {
  if (step.kind == plan::Step::Kind::launch) {
    mlir::Builder builder(step.op->getContext());
    llvm::SmallVector<mlir::Attribute> places;
    for (const plan::Place &place : step.places)
      places.push_back(builder.getStringAttr(text(plan, place)));
    step.op->setAttr("kiln.places", builder.getArrayAttr(places));
  }
  for (const plan::Step &child : step.children)
    annotate(plan, child);
}

static void annotate(const plan::FunctionPlan &plan) {
  mlir::func::FuncOp function = plan.function;
  mlir::Builder builder(function.getContext());
  function->setAttr("kiln.arena", builder.getI64IntegerAttr(plan.arenaBytes));
  function->setAttr("kiln.lower_bound", builder.getI64IntegerAttr(plan.lowerBound));
  annotate(plan, plan.root);
}

mlir::LogicalResult verifyPlanned(mlir::func::FuncOp function) {
  auto arena = function->getAttrOfType<mlir::IntegerAttr>("kiln.arena");
  auto least = function->getAttrOfType<mlir::IntegerAttr>("kiln.lower_bound");
  if (!arena || !least || arena.getInt() < least.getInt())
    return function.emitError() << "this function has no arena, or one below its lower bound";
  mlir::WalkResult all = function.walk([](GroupOp group) -> mlir::WalkResult {
    auto places = group->getAttrOfType<mlir::ArrayAttr>("kiln.places");
    size_t wanted = group->getNumResults() + llvm::count_if(group.getInputs(), std::not_fn(plan::isLoopIndex));
    if (places && places.size() == wanted)
      return mlir::WalkResult::advance();
    group.emitError() << "this launch has " << (places ? places.size() : 0) << " places, and reads and writes "
                      << wanted;
    return mlir::WalkResult::interrupt();
  });
  return mlir::failure(all.wasInterrupted());
}

namespace {
struct PlanMemoryPass : impl::PlanMemoryBase<PlanMemoryPass> {
  using PlanMemoryBase::PlanMemoryBase;

  plan::Options options;
  llvm::SmallVector<std::string> entries;
  std::vector<plan::FunctionPlan> *plans = nullptr; // null: run by its flag, all functions
  bool annotated = true;

  void runOnOperation() override {
    mlir::ModuleOp module = getOperation();
    if (redZone > 0)
      options.redZone = redZone;
    llvm::SmallVector<mlir::func::FuncOp> functions;
    if (plans)
      functions = entriesOf(module, entries);
    else
      llvm::append_range(functions, module.getOps<mlir::func::FuncOp>());
    std::vector<mlir::FailureOr<plan::FunctionPlan>> made(functions.size(), mlir::failure());
    std::mutex asking; // one backend is asked about one group at a time
    plan::Options planning = options;
    if (options.scratchBytes)
      planning.scratchBytes = [&](GroupOp group) {
        std::lock_guard<std::mutex> one(asking);
        return options.scratchBytes(group);
      };
    auto plan = [&](size_t i) -> mlir::LogicalResult { return made[i] = plan::planFunction(functions[i], planning); };
    if (mlir::failed(mlir::failableParallelForEachN(&getContext(), 0, functions.size(), plan)))
      return signalPassFailure();
    for (mlir::FailureOr<plan::FunctionPlan> &plan : made) {
      if (annotated)
        annotate(*plan);
      if (explain)
        llvm::errs() << plan::explain(*plan);
      if (plans)
        plans->push_back(std::move(*plan));
    }
  }
};
} // namespace

std::unique_ptr<mlir::Pass> createPlanMemory(plan::Options options, llvm::ArrayRef<std::string> entries,
                                             std::vector<plan::FunctionPlan> &plans, bool annotate) {
  auto pass = std::make_unique<PlanMemoryPass>();
  pass->options = std::move(options);
  pass->entries.assign(entries.begin(), entries.end());
  pass->plans = &plans;
  pass->annotated = annotate;
  return pass;
}

} // namespace kiln
