// The plan run on names, and the sentence that says where it is wrong.

#include "passes/PlanMemory/Verify.h"

#include "passes/Fuse/Alias.h"

#include "llvm/ADT/DenseMap.h"

namespace kiln::plan {

namespace {
/// Bytes [offset, offset + size) of the value that one execution of one op made.
struct Piece {
  int64_t token, offset, size;
};
using Content = std::vector<Piece>;

/// A range of one memory.
struct Range {
  int64_t space; // 0 the arena, 1+k argument k, -1-k constant k
  int64_t begin, size;
  int64_t end() const { return begin + size; }
};

/// What lies where: disjoint runs of bytes, by space and first byte.
class Memory {
public:
  void write(const Range &range, const Content &content) {
    erase(range);
    int64_t at = range.begin;
    for (const Piece &piece : content) {
      if (piece.size > 0)
        runs[{range.space, at}] = piece;
      at += piece.size;
    }
  }

  Content read(const Range &range) const {
    Content result;
    int64_t at = range.begin;
    auto it = runs.upper_bound({range.space, at});
    if (it != runs.begin())
      --it;
    for (; it != runs.end() && it->first.first <= range.space && at < range.end(); ++it) {
      auto [space, begin] = it->first;
      if (space != range.space || begin + it->second.size <= at)
        continue;
      if (begin >= range.end())
        break;
      if (begin > at)
        result.push_back({-1, 0, begin - at}); // nothing that anybody wrote
      at = std::max(at, begin);
      int64_t size = std::min(begin + it->second.size, range.end()) - at;
      result.push_back({it->second.token, it->second.offset + (at - begin), size});
      at += size;
    }
    if (at < range.end())
      result.push_back({-1, 0, range.end() - at});
    return result;
  }

  /// Bytes that hold the same in both; of the others nothing is known.
  void meet(const Memory &other) {
    Memory both;
    auto twin = other.runs.begin();
    for (const auto &[key, piece] : runs) {
      while (twin != other.runs.end() && twin->first < key)
        ++twin;
      if (twin != other.runs.end() && twin->first == key && same(twin->second, piece)) {
        both.runs.emplace_hint(both.runs.end(), key, piece);
        continue;
      }
      int64_t at = key.second;
      for (const Piece &theirs : other.read({key.first, key.second, piece.size})) {
        if (theirs.token == piece.token && theirs.offset == piece.offset + (at - key.second))
          both.runs[{key.first, at}] = theirs;
        at += theirs.size;
      }
    }
    runs = std::move(both.runs);
  }

  /// Calls `visit` with the space and the first byte of each run that begins as the content does.
  void forEachStart(const Content &content, llvm::function_ref<void(int64_t space, int64_t begin)> visit) const {
    for (const auto &[key, piece] : runs)
      if (content.empty() || (piece.token == content.front().token && piece.offset == content.front().offset))
        visit(key.first, key.second);
  }

private:
  static bool same(const Piece &a, const Piece &b) {
    return a.token == b.token && a.offset == b.offset && a.size == b.size;
  }
  void erase(const Range &range) {
    auto it = runs.lower_bound({range.space, range.begin});
    if (it != runs.begin()) {
      auto before = std::prev(it);
      int64_t begin = before->first.second, end = begin + before->second.size;
      if (before->first.first == range.space && end > range.begin) {
        Piece piece = before->second;
        before->second.size = range.begin - begin;
        if (end > range.end())
          runs[{range.space, range.end()}] = {piece.token, piece.offset + (range.end() - begin), end - range.end()};
      }
    }
    it = runs.lower_bound({range.space, range.begin});
    while (it != runs.end() && it->first.first == range.space && it->first.second < range.end()) {
      int64_t begin = it->first.second, end = begin + it->second.size;
      Piece piece = it->second;
      it = runs.erase(it);
      if (end > range.end())
        it = runs.insert({{range.space, range.end()},
                          {piece.token, piece.offset + (range.end() - begin), end - range.end()}})
                 .first;
    }
  }

  std::map<std::pair<int64_t, int64_t>, Piece> runs;
};

// Neighbouring pieces of one value as one.
Content merged(const Content &content) {
  Content result;
  for (const Piece &piece : content)
    if (!result.empty() && result.back().token == piece.token &&
        result.back().offset + result.back().size == piece.offset)
      result.back().size += piece.size;
    else if (piece.size > 0)
      result.push_back(piece);
  return result;
}

bool same(const Content &a, const Content &b) {
  Content x = merged(a), y = merged(b);
  return std::equal(x.begin(), x.end(), y.begin(), y.end(), [](const Piece &p, const Piece &q) {
    return p.token == q.token && p.offset == q.offset && p.size == q.size;
  });
}

Content cut(const Content &content, int64_t begin, int64_t size) {
  Content result;
  int64_t at = 0;
  for (const Piece &piece : content) {
    int64_t low = std::max(at, begin), high = std::min(at + piece.size, begin + size);
    if (low < high)
      result.push_back({piece.token, piece.offset + (low - at), high - low});
    at += piece.size;
  }
  return result;
}

class Verifier {
public:
  Verifier(const FunctionPlan &plan, const Bounds &symbols) : plan(plan), symbols(symbols) {}

  mlir::LogicalResult run() {
    mlir::func::FuncOp function = plan.function;
    mlir::Block &block = function.getBody().front();
    for (mlir::BlockArgument argument : block.getArguments()) {
      values[argument] = fresh(argument);
      Range range = {1 + argument.getArgNumber(), 0, bytes(argument.getType())};
      (isFixed(range.space) ? fixed : memory).write(range, values[argument]);
    }
    for (size_t index = 0; index < plan.constants.size(); ++index) {
      ConstantOp constant = plan.constants[index];
      values[constant.getResult()] = fresh(constant.getResult());
      fixed.write({-1 - static_cast<int64_t>(index), 0, bytes(constant.getType())}, values[constant.getResult()]);
    }
    if (mlir::failed(sequence(plan.root)))
      return mlir::failure();
    for (auto [index, value] : llvm::enumerate(block.getTerminator()->getOperands())) {
      Range range = {1 + plan.resultArguments[index], 0, bytes(value.getType())};
      if (!same(read(range), contentOf(value)))
        return fail(block.getTerminator()) << "result " << index << " is not in its memory at the end";
    }
    return mlir::success();
  }

private:
  /// Constants, and arguments that nothing is written to: those that every way of a branch finds as they were.
  bool isFixed(int64_t space) const {
    if (space <= 0)
      return space < 0;
    const Argument &argument = plan.arguments[static_cast<size_t>(space - 1)];
    return !argument.result && !argument.donated;
  }
  Content read(const Range &range) const { return (isFixed(range.space) ? fixed : memory).read(range); }

  mlir::InFlightDiagnostic fail(mlir::Operation *op) { return op->emitError() << "memory plan is wrong: "; }

  int64_t evaluate(const Dim &dim) const { return dim.evaluate(symbols).value_or(0); }
  int64_t bytes(mlir::Type type) {
    auto [entry, isNew] = sizes.try_emplace(type);
    if (isNew)
      entry->second = evaluate(bytesOf(type));
    return entry->second;
  }
  Content fresh(mlir::Value value) { return {{nextToken++, 0, bytes(value.getType())}}; }

  Content contentOf(mlir::Value value) {
    while (auto reshape = value.getDefiningOp<ReshapeOp>())
      value = reshape.getOperand();
    return values.lookup(value);
  }

  Range rangeOf(const Place &place, int64_t size) const {
    Range range = {0, place.offset, size};
    if (place.space == Place::Space::arena)
      range.begin += plan.buffers[place.index].offset;
    else
      range.space = place.space == Place::Space::argument ? 1 + static_cast<int64_t>(place.index)
                                                          : -1 - static_cast<int64_t>(place.index);
    for (auto [level, stride] : llvm::enumerate(place.strides))
      range.begin += evaluate(stride) * iterations[level];
    return range;
  }

  mlir::LogicalResult inBounds(const Range &range, mlir::Operation *op) {
    int64_t limit = range.space == 0  ? plan.arenaBytes
                    : range.space > 0 ? bytes(plan.arguments[range.space - 1].type)
                                      : range.end();
    if (range.begin < 0 || range.end() > limit)
      return fail(op) << "bytes " << range.begin << " to " << range.end() << " of a memory of " << limit;
    return mlir::success();
  }

  static bool overlap(const Range &a, const Range &b) {
    return a.space == b.space && a.begin < b.end() && b.begin < a.end();
  }

  mlir::LogicalResult sequence(const Step &step) {
    for (const Step &child : step.children) {
      mlir::LogicalResult result = mlir::success();
      switch (child.kind) {
      case Step::Kind::sequence:
        result = sequence(child);
        break;
      case Step::Kind::launch:
        result = launch(child);
        break;
      case Step::Kind::copy: {
        int64_t size = evaluate(child.count);
        Range from = rangeOf(child.places[0], size), to = rangeOf(child.places[1], size);
        if (isFixed(to.space))
          return fail(plan.function) << "a copy ends in memory that takes no result";
        memory.write(to, read(from));
        break;
      }
      case Step::Kind::repeat:
        result = repeat(child);
        break;
      case Step::Kind::loop:
        result = loop(child);
        break;
      case Step::Kind::branch:
        result = branch(child);
        break;
      }
      if (mlir::failed(result))
        return result;
    }
    return mlir::success();
  }

  mlir::LogicalResult launch(const Step &step) {
    auto group = llvm::cast<GroupOp>(step.op);
    llvm::SmallVector<Range> inputs, outputs;
    llvm::SmallVector<unsigned> numbers;
    unsigned at = 0;
    for (auto [index, input] : llvm::enumerate(group.getInputs())) {
      if (isLoopIndex(input))
        continue;
      Range range = rangeOf(step.places[at++], bytes(input.getType()));
      if (mlir::failed(inBounds(range, group)))
        return mlir::failure();
      if (!same(read(range), contentOf(input)))
        return fail(group) << "operand " << index << " is not in the memory that the kernel reads";
      inputs.push_back(range);
      numbers.push_back(index);
    }
    llvm::SmallVector<int32_t> aliases = aliasesOf(group);
    if (step.scratch)
      outputs.push_back(rangeOf(*step.scratch, plan.buffers[step.scratch->index].bytes));
    for (auto [index, result] : llvm::enumerate(group->getResults())) {
      Range range = rangeOf(step.places[at++], bytes(result.getType()));
      if (mlir::failed(inBounds(range, group)))
        return mlir::failure();
      if (isFixed(range.space))
        return fail(group) << "result " << index << " is in memory that takes none";
      for (auto [input, number] : llvm::zip(inputs, numbers)) {
        bool inPlace = aliases[index] == static_cast<int32_t>(number) && input.begin == range.begin &&
                       mayAlias(group, index, number);
        if (overlap(range, input) && !inPlace)
          return fail(group) << "result " << index << " is written over operand " << number;
      }
      for (const Range &other : outputs)
        if (overlap(range, other))
          return fail(group) << "result " << index << " overlaps another output or the scratch";
      outputs.push_back(range);
    }
    if (step.scratch) {
      for (const Range &input : inputs)
        if (overlap(outputs.front(), input))
          return fail(group) << "scratch overlaps an operand";
      if (mlir::failed(inBounds(outputs.front(), group)))
        return mlir::failure();
      memory.write(outputs.front(), {{-1, 0, outputs.front().size}});
    }
    for (auto [result, range] : llvm::zip(group->getResults(), llvm::drop_begin(outputs, step.scratch ? 1 : 0)))
      memory.write(range, values[result] = fresh(result));
    return mlir::success();
  }

  mlir::LogicalResult repeat(const Step &step) {
    auto scan = llvm::cast<ScanOp>(step.op);
    mlir::Operation *yield = scan.getBody().front().getTerminator();
    int64_t count = evaluate(step.count);
    std::vector<Content> carried, stacked(scan->getNumResults() - scan.numCarries());
    for (mlir::Value init : scan.getInits())
      carried.push_back(contentOf(init));
    for (int64_t n = 0; n < count; ++n) {
      int64_t index = scan.getReverse() ? count - 1 - n : n;
      iterations.push_back(index);
      for (auto [argument, content] : llvm::zip(scan.carryArgs(), carried))
        values[argument] = content;
      for (auto [argument, whole] : llvm::zip(scan.sequenceArgs(), scan.getSequences())) {
        int64_t size = bytes(argument.getType());
        values[argument] = cut(contentOf(whole), index * size, size);
      }
      if (mlir::failed(sequence(step)))
        return mlir::failure();
      for (unsigned i = 0; i < scan.numCarries(); ++i)
        carried[i] = contentOf(yield->getOperand(i));
      for (auto [i, slices] : llvm::enumerate(stacked)) {
        Content content = contentOf(yield->getOperand(scan.numCarries() + i));
        slices.insert(scan.getReverse() ? slices.begin() : slices.end(), content.begin(), content.end());
      }
      iterations.pop_back();
    }
    for (unsigned i = 0; i < scan.numCarries(); ++i)
      values[scan->getResult(i)] = carried[i];
    for (auto [i, slices] : llvm::enumerate(stacked))
      values[scan->getResult(scan.numCarries() + i)] = merged(slices);
    return mlir::success();
  }

  // After a choice that is not known here, a result is what the ways agree on: a value of its own, which lies wherever
  // each way had its own. Results that are the same one in each way are one value.
  void join(mlir::ResultRange results, llvm::ArrayRef<Memory> ways, llvm::ArrayRef<std::vector<Content>> contents) {
    memory = ways.front();
    for (const Memory &way : llvm::drop_begin(ways))
      memory.meet(way);
    for (mlir::OpResult result : results) {
      unsigned number = result.getResultNumber();
      auto isTwin = [&](mlir::OpResult earlier) {
        return earlier.getResultNumber() < number &&
               llvm::all_of(
                   contents,
                   [&](const std::vector<Content> &way) { return same(way[number], way[earlier.getResultNumber()]); });
      };
      if (auto twin = llvm::find_if(results, isTwin); twin != results.end()) {
        values[result] = contentOf(*twin);
        continue;
      }
      bool agreed = llvm::all_of(
          contents, [&](const std::vector<Content> &way) { return same(way[number], contents.front()[number]); });
      values[result] = agreed ? contents.front()[number] : fresh(result);
      if (agreed)
        continue;
      // It may be a slice of what a loop stacks up: wherever a way has written.
      int64_t size = bytes(result.getType());
      for (auto [way, results] : llvm::zip(ways, contents))
        way.forEachStart(merged(results[number]), [&](int64_t space, int64_t begin) {
          markIfEverywhere({space, begin, size}, number, ways, contents, values[result]);
        });
    }
  }

  void markIfEverywhere(const Range &range, unsigned number, llvm::ArrayRef<Memory> ways,
                        llvm::ArrayRef<std::vector<Content>> contents, const Content &content) {
    for (auto [way, results] : llvm::zip(ways, contents))
      if (!same(way.read(range), results[number]))
        return;
    memory.write(range, content);
  }

  mlir::LogicalResult branch(const Step &step) {
    auto op = llvm::cast<IfOp>(step.op);
    if (!same(read(rangeOf(step.condition, 1)), contentOf(op.getCondition())))
      return fail(op) << "the condition is not in the memory that is tested";
    Memory before = memory;
    std::vector<Memory> ways;
    std::vector<std::vector<Content>> contents;
    for (auto [index, region] : llvm::enumerate(op->getRegions())) {
      memory = before;
      if (mlir::failed(sequence(step.children[index])))
        return mlir::failure();
      ways.push_back(memory);
      contents.emplace_back();
      for (mlir::Value value : region.front().getTerminator()->getOperands())
        contents.back().push_back(contentOf(value));
    }
    join(op->getResults(), ways, contents);
    return mlir::success();
  }

  mlir::LogicalResult loop(const Step &step) {
    auto op = llvm::cast<WhileOp>(step.op);
    mlir::Block &condition = op.getCondition().front(), &body = op.getBody().front();
    std::vector<Content> carried;
    for (mlir::Value init : op.getInits())
      carried.push_back(contentOf(init));
    std::vector<Memory> ways;
    std::vector<std::vector<Content>> contents;
    // None, one or two times around: whatever a third would meet, the second has met.
    for (int round = 0;; ++round) {
      for (auto [index, content] : llvm::enumerate(carried)) { // one by one: the map moves what it holds when it grows
        values[condition.getArgument(index)] = content;
        values[body.getArgument(index)] = content;
      }
      if (mlir::failed(sequence(step.children[0])))
        return mlir::failure();
      if (!same(read(rangeOf(step.condition, 1)), contentOf(condition.getTerminator()->getOperand(0))))
        return fail(op) << "the condition is not in the memory that is tested";
      ways.push_back(memory);
      contents.push_back(carried);
      if (round == 2)
        break;
      if (mlir::failed(sequence(step.children[1])))
        return mlir::failure();
      for (auto [index, value] : llvm::enumerate(body.getTerminator()->getOperands()))
        carried[index] = contentOf(value);
    }
    join(op->getResults(), ways, contents);
    return mlir::success();
  }

  const FunctionPlan &plan;
  const Bounds &symbols;
  Memory memory, fixed; // what is written to, which branches copy; the rest
  llvm::DenseMap<mlir::Value, Content> values;
  llvm::SmallVector<int64_t> iterations;
  llvm::DenseMap<mlir::Type, int64_t> sizes;
  int64_t nextToken = 0;
};
} // namespace

mlir::LogicalResult verifyPlan(const FunctionPlan &plan, const Bounds &symbols) {
  return Verifier(plan, symbols).run();
}

} // namespace kiln::plan
