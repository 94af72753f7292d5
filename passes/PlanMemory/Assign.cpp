// Which values share memory: buffers, places in place, loops' carried values.
#include "passes/Fuse/Alias.h"
#include "passes/PlanMemory/PlanMemory.h"

#include "llvm/ADT/DenseMap.h"

namespace kiln::plan {

static constexpr unsigned maxLoops = 3; // KILN_MAX_LOOPS

namespace {
/// A terminator's operand on its way to the memory that it must end in.
struct Destination {
  mlir::Value value; ///< what the terminator names
  Place place;
  mlir::Value old; ///< what lives there until then, or null
};

class Assigner {
public:
  Assigner(FunctionPlan &plan, const Options &options, BoundSizes &sizes)
      : plan(plan), options(options), sizes(sizes) {}

  mlir::LogicalResult run();

private:
  mlir::LogicalResult walkBlock(mlir::Block &block, llvm::ArrayRef<Destination> destinations, Step &into);
  mlir::LogicalResult walkGroup(GroupOp group, Step &into);
  mlir::LogicalResult walkScan(ScanOp scan, Step &into);
  mlir::LogicalResult walkWhile(WhileOp loop, Step &into);
  mlir::LogicalResult walkIf(IfOp op, Step &into);

  bool target(mlir::Block &block, const Destination &destination);
  bool mayOverwrite(mlir::Block &block, mlir::Value old, mlir::OpResult writer);
  void copyRest(mlir::Block &block, llvm::ArrayRef<Destination> rest, Step &into);
  int inPlaceInput(GroupOp group, unsigned output, llvm::ArrayRef<int32_t> taken);
  bool diesAt(mlir::Value value, mlir::Operation *op);
  Place carryPlace(mlir::OpResult result, mlir::Value init, Step &into);

  mlir::LogicalResult bounded(mlir::Type type, mlir::Operation *op);
  Place newBuffer(mlir::Value origin, mlir::Operation *op);
  Place resultPlace(mlir::OpResult result);
  void put(mlir::Value value, const Place &place) {
    places[value] = place;
    if (place.space == Place::Space::arena)
      occupants[place.index].push_back(value);
  }
  static bool whole(const Place &place) { return place.offset == 0 && place.strides.empty(); }
  static Step copy(const Place &from, const Place &to, mlir::Type type) {
    Step step;
    step.kind = Step::Kind::copy;
    step.places = {from, to};
    step.count = bytesOf(type);
    return step;
  }
  Place slice(Place place, mlir::Type type) const {
    place.strides.resize(level, Dim());
    place.strides.push_back(bytesOf(type));
    return place;
  }

  FunctionPlan &plan;
  const Options &options;
  BoundSizes &sizes;
  llvm::DenseMap<mlir::Value, Place> places;
  llvm::DenseMap<mlir::Value, Place> targets;         // where a value is to be born
  llvm::DenseSet<mlir::OpOperand *> copiedFirst;      // operands of terminators whose copy opens the block
  llvm::DenseMap<mlir::Value, int32_t> forcedAliases; // a result that overwrites this operand of its group
  llvm::DenseMap<unsigned, llvm::SmallVector<mlir::Value>> occupants; // of a buffer
  unsigned level = 0;                                                 // repeats around: the length of strides
  unsigned depth = 0;                                                 // loops of any kind around
};
} // namespace

mlir::LogicalResult Assigner::bounded(mlir::Type type, mlir::Operation *op) {
  if (sizes.find(type))
    return mlir::success();
  return op->emitError() << "the extent " << bytesOf(type).str()
                         << " has no upper bound: give one in the signature (T <= 256) or with --bound";
}

Place Assigner::newBuffer(mlir::Value origin, mlir::Operation *op) {
  Place place;
  place.index = plan.buffers.size();
  Buffer buffer;
  buffer.origin = origin;
  buffer.op = op;
  buffer.home = depth;
  if (origin)
    buffer.bytes = sizes.of(origin.getType());
  plan.buffers.push_back(buffer);
  return place;
}

Place Assigner::resultPlace(mlir::OpResult result) {
  if (auto found = targets.find(result); found != targets.end())
    return found->second;
  return newBuffer(result, result.getOwner());
}

// May `writer` be written over the value `old` of this block? Only once everybody else has read that.
bool Assigner::mayOverwrite(mlir::Block &block, mlir::Value old, mlir::OpResult writer) {
  mlir::Operation *op = writer.getOwner();
  for (mlir::OpOperand &use : old.getUses()) {
    mlir::Operation *user = ancestorIn(&block, use.getOwner());
    if (user == block.getTerminator() && copiedFirst.contains(&use))
      continue;
    if (!user || user == block.getTerminator())
      return false;
    if (auto reshape = llvm::dyn_cast<ReshapeOp>(user)) {
      if (!mayOverwrite(block, reshape.getResult(), writer))
        return false;
      continue;
    }
    if (user != op) {
      if (!user->isBeforeInBlock(op))
        return false;
      continue;
    }
    if (auto group = llvm::dyn_cast<GroupOp>(op)) {
      if (forcedAliases.count(writer) || !mayAlias(group, writer.getResultNumber(), use.getOperandNumber()))
        return false;
      forcedAliases[writer] = use.getOperandNumber();
      continue;
    }
    // A loop that carries the value on in the same memory.
    auto scan = llvm::dyn_cast<ScanOp>(op);
    if (!scan || use.getOwner() != op || use.getOperandNumber() != writer.getResultNumber() ||
        writer.getResultNumber() >= scan.numCarries())
      return false;
  }
  return true;
}

bool Assigner::target(mlir::Block &block, const Destination &destination) {
  auto root = llvm::dyn_cast<mlir::OpResult>(rootOf(destination.value));
  if (!root || root.getOwner()->getBlock() != &block || llvm::isa<ConstantOp>(root.getOwner()) || targets.count(root))
    return false;
  if (destination.old && !mayOverwrite(block, destination.old, root)) {
    forcedAliases.erase(root);
    return false;
  }
  targets[root] = destination.place;
  return true;
}

static bool sameMemory(const Place &a, const Place &b) { return a.space == b.space && a.index == b.index; }

// Copies for what could not be born in its place; through temporaries where one copy's source is another's goal.
void Assigner::copyRest(mlir::Block &block, llvm::ArrayRef<Destination> rest, Step &into) {
  llvm::SmallVector<Place> sources;
  for (const Destination &destination : rest) {
    Place from = places.lookup(destination.value);
    bool clobbered = llvm::any_of(rest, [&](const Destination &other) { return sameMemory(other.place, from); });
    if (clobbered) {
      Place temporary = newBuffer(destination.value, block.getTerminator());
      into.children.push_back(copy(from, temporary, destination.value.getType()));
      from = temporary;
    }
    sources.push_back(from);
  }
  for (auto [from, destination] : llvm::zip(sources, rest))
    into.children.push_back(copy(from, destination.place, destination.value.getType()));
}

mlir::LogicalResult Assigner::walkBlock(mlir::Block &block, llvm::ArrayRef<Destination> destinations, Step &into) {
  // What a loop's iteration was given and must keep (the saved carry) is copied before anything overwrites it.
  llvm::SmallVector<Destination> rest;
  llvm::SmallVector<bool> done(destinations.size());
  for (auto [index, destination] : llvm::enumerate(destinations)) {
    mlir::Value root = rootOf(destination.value);
    if (destination.old || root.getParentBlock() != &block || root.getDefiningOp() || isLoopIndex(root))
      continue;
    into.children.push_back(copy(places.lookup(root), destination.place, destination.value.getType()));
    copiedFirst.insert(&block.getTerminator()->getOpOperand(index));
    done[index] = true;
  }
  for (auto [index, destination] : llvm::enumerate(destinations))
    if (!done[index] && (!destination.old || rootOf(destination.value) != destination.old) &&
        !target(block, destination))
      rest.push_back(destination);
  for (mlir::Operation &op : block.without_terminator()) {
    mlir::LogicalResult result = mlir::success();
    if (auto constant = llvm::dyn_cast<ConstantOp>(op)) {
      Place place;
      place.space = Place::Space::constant;
      place.index = plan.constants.size();
      plan.constants.push_back(constant);
      put(constant.getResult(), place);
    } else if (auto reshape = llvm::dyn_cast<ReshapeOp>(op)) {
      put(reshape.getResult(), places.lookup(reshape.getOperand()));
    } else if (auto group = llvm::dyn_cast<GroupOp>(op)) {
      result = walkGroup(group, into);
    } else if (auto scan = llvm::dyn_cast<ScanOp>(op)) {
      result = walkScan(scan, into);
    } else if (auto loop = llvm::dyn_cast<WhileOp>(op)) {
      result = walkWhile(loop, into);
    } else if (auto branch = llvm::dyn_cast<IfOp>(op)) {
      result = walkIf(branch, into);
    } else {
      result = op.emitError() << "'" << op.getName() << "' stands outside of a group: fuse before planning";
    }
    if (mlir::failed(result))
      return result;
  }
  copyRest(block, rest, into);
  return mlir::success();
}

// True where nothing reads the value's memory after `op`.
bool Assigner::diesAt(mlir::Value value, mlir::Operation *op) {
  const Place &place = places.lookup(value);
  if (place.space != Place::Space::arena || !whole(place) || plan.buffers[place.index].home != depth)
    return false;
  for (mlir::Value occupant : llvm::reverse(occupants[place.index])) // the newest one is read last
    for (mlir::Operation *user : occupant.getUsers()) {
      mlir::Operation *ancestor = ancestorIn(op->getBlock(), user);
      if (!ancestor || (ancestor != op && !ancestor->isBeforeInBlock(op)))
        return false;
    }
  return true;
}

int Assigner::inPlaceInput(GroupOp group, unsigned output, llvm::ArrayRef<int32_t> taken) {
  for (auto [index, input] : llvm::enumerate(group.getInputs())) {
    if (isLoopIndex(input) || llvm::is_contained(taken, static_cast<int32_t>(index)) ||
        !mayAlias(group, output, index) || !diesAt(input, group))
      continue;
    Place place = places.lookup(input);
    bool readTwice = false;
    for (auto [other, value] : llvm::enumerate(group.getInputs()))
      readTwice |= other != index && !isLoopIndex(value) && sameMemory(places.lookup(value), place);
    if (!readTwice)
      return static_cast<int>(index);
  }
  return -1;
}

mlir::LogicalResult Assigner::walkGroup(GroupOp group, Step &into) {
  Step step;
  step.kind = Step::Kind::launch;
  step.op = group;
  for (mlir::Value input : group.getInputs())
    if (!isLoopIndex(input))
      step.places.push_back(places.lookup(input));
  for (mlir::Value value : group->getResults())
    if (mlir::failed(bounded(value.getType(), group)))
      return mlir::failure();
  llvm::SmallVector<int32_t> aliases(group->getNumResults(), -1);
  for (mlir::OpResult result : group->getResults())
    if (auto found = forcedAliases.find(result); found != forcedAliases.end())
      aliases[result.getResultNumber()] = found->second;
  for (mlir::OpResult result : group->getResults()) {
    unsigned number = result.getResultNumber();
    if (!targets.count(result))
      aliases[number] = inPlaceInput(group, number, aliases);
    put(result, targets.count(result) || aliases[number] < 0 ? resultPlace(result)
                                                             : places.lookup(group.getInputs()[aliases[number]]));
    step.places.push_back(places.lookup(result));
  }
  setAliases(group, aliases);
  mlir::FailureOr<int64_t> scratch = options.scratchBytes ? options.scratchBytes(group) : static_cast<int64_t>(0);
  if (mlir::failed(scratch))
    return mlir::failure();
  if (*scratch > 0) {
    step.scratch = newBuffer({}, group);
    plan.buffers.back().bytes = *scratch;
  }
  into.children.push_back(std::move(step));
  return mlir::success();
}

// The memory of a carried value: where the result must end, or the initial value's own if nobody else wants that.
Place Assigner::carryPlace(mlir::OpResult result, mlir::Value init, Step &into) {
  mlir::Operation *loop = result.getOwner();
  Place from = places.lookup(init);
  Place place;
  if (auto found = targets.find(result); found != targets.end()) {
    place = found->second;
  } else {
    unsigned reads = 0;
    auto isThere = [&](mlir::Value value) {
      auto found = places.find(value);
      return found != places.end() && found->second.space == from.space && found->second.index == from.index;
    };
    if (from.space == Place::Space::arena)
      loop->walk([&](mlir::Operation *op) { reads += llvm::count_if(op->getOperands(), isThere); });
    if (reads == 1 && diesAt(init, loop)) {
      put(result, from);
      return from;
    }
    place = newBuffer(result, loop);
  }
  put(result, place);
  if (!sameMemory(from, place))
    into.children.push_back(copy(from, place, init.getType()));
  return place;
}

mlir::LogicalResult Assigner::walkScan(ScanOp scan, Step &into) {
  if (level >= maxLoops)
    return scan.emitError() << "more than " << maxLoops << " loops inside each other";
  for (mlir::Value value : scan->getResults())
    if (mlir::failed(bounded(value.getType(), scan)))
      return mlir::failure();
  mlir::Block &body = scan.getBody().front();
  llvm::SmallVector<Destination> destinations;
  mlir::Operation *yield = body.getTerminator();
  for (unsigned i = 0; i < scan.numCarries(); ++i) {
    Place place = carryPlace(scan->getResult(i), scan.getInits()[i], into);
    put(scan.carryArgs()[i], place);
    destinations.push_back({yield->getOperand(i), place, scan.carryArgs()[i]});
  }
  for (unsigned i = scan.numCarries(); i < scan->getNumResults(); ++i) {
    Place place = resultPlace(scan->getResult(i));
    put(scan->getResult(i), place);
    destinations.push_back({yield->getOperand(i), slice(place, yield->getOperand(i).getType()), {}});
  }
  for (auto [argument, sequence] : llvm::zip(scan.sequenceArgs(), scan.getSequences()))
    put(argument, slice(places.lookup(sequence), argument.getType()));
  Step step;
  step.kind = Step::Kind::repeat;
  step.op = scan;
  step.count = scan.getCount().dims().front();
  step.level = level;
  ++level, ++depth;
  mlir::LogicalResult result = walkBlock(body, destinations, step);
  --level, --depth;
  into.children.push_back(std::move(step));
  return result;
}

mlir::LogicalResult Assigner::walkWhile(WhileOp loop, Step &into) {
  mlir::Block &condition = loop.getCondition().front(), &body = loop.getBody().front();
  llvm::SmallVector<Destination> destinations;
  for (unsigned i = 0; i < loop.getInits().size(); ++i) {
    Place place = carryPlace(loop->getResult(i), loop.getInits()[i], into);
    put(condition.getArgument(i), place);
    put(body.getArgument(i), place);
    destinations.push_back({body.getTerminator()->getOperand(i), place, body.getArgument(i)});
  }
  Step step;
  step.kind = Step::Kind::loop;
  step.op = loop;
  step.level = level;
  step.children.resize(2);
  ++depth;
  mlir::LogicalResult result = walkBlock(condition, {}, step.children[0]);
  if (mlir::succeeded(result)) {
    step.condition = places.lookup(condition.getTerminator()->getOperand(0));
    result = walkBlock(body, destinations, step.children[1]);
  }
  --depth;
  into.children.push_back(std::move(step));
  return result;
}

mlir::LogicalResult Assigner::walkIf(IfOp op, Step &into) {
  Step step;
  step.kind = Step::Kind::branch;
  step.op = op;
  step.level = level;
  step.condition = places.lookup(op.getCondition());
  step.children.resize(2);
  llvm::SmallVector<Place> results;
  for (mlir::OpResult result : op->getResults()) {
    results.push_back(resultPlace(result));
    put(result, results.back());
  }
  for (auto [index, region] : llvm::enumerate(op->getRegions())) {
    mlir::Block &block = region.front();
    llvm::SmallVector<Destination> destinations;
    for (auto [value, place] : llvm::zip(block.getTerminator()->getOperands(), results))
      destinations.push_back({value, place, {}});
    if (mlir::failed(walkBlock(block, destinations, step.children[index])))
      return mlir::failure();
  }
  into.children.push_back(std::move(step));
  return mlir::success();
}

mlir::LogicalResult Assigner::run() {
  mlir::func::FuncOp function = plan.function;
  mlir::Block &block = function.getBody().front();
  auto argumentPlace = [](unsigned index) {
    Place place;
    place.space = Place::Space::argument;
    place.index = index;
    return place;
  };
  for (mlir::BlockArgument argument : block.getArguments()) {
    plan.arguments.push_back({function.getArgAttrDict(argument.getArgNumber()), argument.getType(), false, false});
    if (mlir::failed(bounded(argument.getType(), function)))
      return mlir::failure();
    put(argument, argumentPlace(argument.getArgNumber()));
  }
  llvm::SmallVector<Destination> destinations;
  for (auto [index, donated] : llvm::enumerate(donations(function))) {
    mlir::Value value = block.getTerminator()->getOperand(index);
    unsigned argument = donated >= 0 ? donated : plan.arguments.size();
    if (donated >= 0)
      plan.arguments[argument].donated = true;
    else
      plan.arguments.push_back({function.getResultAttrDict(index), value.getType(), true, false});
    plan.resultArguments.push_back(argument);
    destinations.push_back(
        {value, argumentPlace(argument), donated >= 0 ? mlir::Value(block.getArgument(donated)) : mlir::Value()});
  }
  return walkBlock(block, destinations, plan.root);
}

mlir::LogicalResult assignPlaces(FunctionPlan &plan, const Options &options, BoundSizes &sizes) {
  return Assigner(plan, options, sizes).run();
}

} // namespace kiln::plan
