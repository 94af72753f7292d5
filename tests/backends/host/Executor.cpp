#include "tests/backends/host/Executor.h"

#include "ir/Classes.h"
#include "runtime/backend/Tables.h"

#include "absl/status/status.h"
#include "nlohmann/json.hpp"
#include "passes/PlanMemory/PlanMemory.h"
#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/DenseMap.h"

#include <cstring>

namespace kiln {

static const llvm::fltSemantics &semanticsOf(mlir::Type element) {
  return llvm::cast<mlir::FloatType>(element).getFloatSemantics();
}

static void store(const HostTensor &tensor, uint8_t *to) {
  int64_t width = elementBytes(tensor.element);
  for (int64_t i = 0; i < tensor.size(); ++i) {
    uint64_t bits = 0;
    if (tensor.isFloat()) {
      llvm::APFloat value(tensor.floats[i]);
      bool loses;
      value.convert(semanticsOf(tensor.element), llvm::APFloat::rmNearestTiesToEven, &loses);
      bits = value.bitcastToAPInt().getZExtValue();
    } else {
      bits = static_cast<uint64_t>(tensor.integers[i]);
    }
    std::memcpy(to + i * width, &bits, width);
  }
}

static HostTensor load(mlir::Type type, const std::map<std::string, int64_t> &symbols, const uint8_t *from) {
  std::vector<int64_t> shape;
  for (const Dim &dim : dimsOf(type))
    shape.push_back(*dim.evaluate(symbols));
  HostTensor tensor = HostTensor::zeros(llvm::cast<mlir::RankedTensorType>(type).getElementType(), shape);
  int64_t width = elementBytes(type);
  for (int64_t i = 0; i < tensor.size(); ++i) {
    uint64_t bits = 0;
    std::memcpy(&bits, from + i * width, width);
    if (tensor.isFloat()) {
      llvm::APFloat value(semanticsOf(tensor.element), llvm::APInt(width * 8, bits));
      bool loses;
      value.convert(llvm::APFloat::IEEEdouble(), llvm::APFloat::rmNearestTiesToEven, &loses);
      tensor.floats[i] = value.convertToDouble();
    } else {
      bool isSigned = !tensor.element.isUnsignedInteger() && !tensor.element.isInteger(1);
      tensor.integers[i] = isSigned && width < 8 ? static_cast<int64_t>(bits << (64 - 8 * width)) >> (64 - 8 * width)
                                                 : static_cast<int64_t>(bits);
    }
  }
  return tensor;
}

namespace {
class Executor {
public:
  absl::Status run(const kiln_node &node) {
    switch (node.kind) {
    case KILN_NODE_SEQUENCE:
      return children(node);
    case KILN_NODE_LAUNCH:
      return launch(node);
    case KILN_NODE_COPY:
      std::memmove(address(node.places[1]), address(node.places[0]), value(node.count));
      return absl::OkStatus();
    case KILN_NODE_REPEAT:
      for (int64_t n = 0, count = value(node.count); n < count; ++n) {
        extents[node.index_slot] = node.reverse ? count - 1 - n : n;
        indices.push_back(extents[node.index_slot]);
        absl::Status status = children(node);
        indices.pop_back();
        if (!status.ok())
          return status;
      }
      return absl::OkStatus();
    case KILN_NODE_WHILE:
      for (;;) {
        if (absl::Status status = run(node.children[0]); !status.ok())
          return status;
        if (!*address(node.condition))
          return absl::OkStatus();
        if (absl::Status status = run(node.children[1]); !status.ok())
          return status;
      }
    case KILN_NODE_IF:
      return run(node.children[*address(node.condition) ? 0 : 1]);
    default:
      return absl::InternalError("a node of unknown kind");
    }
  }

  // Launches in the order of the tree are the module's groups in the order of a walk.
  void number(const kiln_node &node, llvm::ArrayRef<GroupOp> groups, size_t &next) {
    if (node.kind == KILN_NODE_LAUNCH)
      groupOf[&node] = groups[next++];
    for (size_t i = 0; i < node.child_count; ++i)
      number(node.children[i], groups, next);
  }

  std::vector<std::vector<uint8_t>> buffers;
  std::vector<uint8_t> arena;
  const uint8_t *constants = nullptr;
  std::vector<int64_t> extents;
  std::map<std::string, int64_t> symbols;
  const kiln_program *program = nullptr;

private:
  absl::Status children(const kiln_node &node) {
    for (size_t i = 0; i < node.child_count; ++i)
      if (absl::Status status = run(node.children[i]); !status.ok())
        return status;
    return absl::OkStatus();
  }

  int64_t value(const kiln_extent &extent) const { return extent.slot < 0 ? extent.value : extents[extent.slot]; }

  uint8_t *address(const kiln_place &place) {
    int64_t offset = place.offset;
    for (size_t level = 0; level < indices.size(); ++level)
      offset += value(place.stride[level]) * indices[level];
    switch (place.space) {
    case KILN_SPACE_ARENA:
      return arena.data() + offset;
    case KILN_SPACE_ARGUMENT:
      return buffers[place.argument].data() + offset;
    default:
      return const_cast<uint8_t *>(constants) + offset;
    }
  }

  absl::Status launch(const kiln_node &node) {
    GroupOp group = groupOf.lookup(&node);
    const kiln_kernel &kernel = program->kernels[node.kernel];
    if (node.place_count != kernel.input_count + kernel.output_count)
      return absl::InternalError("a launch has not as many places as its kernel arguments");
    llvm::DenseMap<mlir::Value, HostTensor> values;
    size_t at = 0;
    mlir::Block &body = group.getBody().front();
    for (auto [argument, input] : llvm::zip(body.getArguments(), group.getInputs())) {
      if (plan::isLoopIndex(input)) {
        unsigned level = 0;
        for (mlir::Operation *scan = llvm::cast<mlir::BlockArgument>(input).getOwner()->getParentOp();
             (scan = scan->getParentOp());)
          level += llvm::isa<ScanOp>(scan);
        values[argument] = HostTensor::ofIntegers(
            llvm::cast<mlir::RankedTensorType>(argument.getType()).getElementType(), {}, {indices[level]});
      } else {
        values[argument] = load(argument.getType(), symbols, address(node.places[at++]));
      }
    }
    InterpreterOptions options;
    options.roundToDtype = true;
    options.symbols = symbols;
    for (mlir::Operation &op : body.without_terminator()) {
      llvm::SmallVector<const HostTensor *> operands;
      for (mlir::Value operand : op.getOperands())
        operands.push_back(&values.find(operand)->second);
      absl::StatusOr<Interpreted> result = evaluate(&op, operands, options);
      if (!result.ok())
        return result.status();
      for (auto [value, tensor] : llvm::zip(op.getResults(), result->results))
        values[value] = tensor;
    }
    for (mlir::Value value : body.getTerminator()->getOperands())
      store(values[value], address(node.places[at++]));
    return absl::OkStatus();
  }

  llvm::DenseMap<const kiln_node *, GroupOp> groupOf;
  llvm::SmallVector<int64_t> indices;
};
} // namespace

absl::StatusOr<std::vector<HostTensor>> execute(const host::OwnedProgram &program, mlir::ModuleOp module,
                                                llvm::StringRef functionName, llvm::StringRef entryName,
                                                llvm::ArrayRef<HostTensor> arguments,
                                                const std::map<std::string, int64_t> &symbols) {
  auto function = module.lookupSymbol<mlir::func::FuncOp>(functionName);
  const kiln_program &c = program.program();
  size_t number = 0;
  while (number < c.entry_count &&
         llvm::StringRef(c.entries[number].name.data, c.entries[number].name.size) != entryName)
    ++number;
  if (!function || number == c.entry_count)
    return absl::NotFoundError("no such entry");
  const EntryRow &entry = c.entries[number];
  nlohmann::json manifest = nlohmann::json::parse(program.manifest())["entries"][number];

  Executor executor;
  executor.program = &c;
  executor.symbols = symbols;
  executor.constants = c.constants;
  executor.arena.assign(entry.arena_bytes, 0xab);
  for (const nlohmann::json &extent : manifest["extents"]) {
    std::string text = extent.get<std::string>();
    executor.extents.push_back(text[0] == '@' ? -1 : *Dim::parse(text)->evaluate(symbols));
  }
  for (size_t i = 0; i < entry.argument_count; ++i) {
    executor.buffers.emplace_back(entry.argument_bytes[i], 0xab);
    if (i < arguments.size())
      store(arguments[i], executor.buffers.back().data());
  }
  llvm::SmallVector<GroupOp> groups;
  function.walk<mlir::WalkOrder::PreOrder>([&](GroupOp group) { groups.push_back(group); });
  size_t next = 0;
  executor.number(entry.root, groups, next);
  if (next != groups.size())
    return absl::InternalError("the tree launches not as many kernels as the function has groups");
  if (absl::Status status = executor.run(entry.root); !status.ok())
    return status;

  std::vector<HostTensor> results;
  llvm::SmallVector<int> donated = donations(function);
  unsigned argument = function.getNumArguments();
  for (unsigned i = 0; i < function.getNumResults(); ++i)
    results.push_back(load(function.getResultTypes()[i], symbols,
                           executor.buffers[donated[i] >= 0 ? donated[i] : argument++].data()));
  return results;
}

} // namespace kiln
