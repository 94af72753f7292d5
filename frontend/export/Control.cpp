// Loops and branches: ONNX's graphs in nodes, which see the values around them.
#include "frontend/export/Ops.h"

namespace kiln::exported {

namespace {

using mlir::Operation;

/// The values that a region ends with, as results of its graph. Two of them may be one, or come from outside: each gets
/// a name of its own.
std::vector<Message> yielded(Graph &graph, mlir::Block &block, std::vector<std::string> *names = nullptr) {
  std::vector<Message> out;
  for (mlir::Value value : block.getTerminator()->getOperands()) {
    std::string name = graph.fresh("result");
    graph.rename(graph.full(value), name);
    out.push_back(graph.info(name, value.getType()));
    if (names)
      names->push_back(name);
  }
  return out;
}

void setAll(Graph &graph, Operation *op, const std::vector<std::string> &names) {
  for (size_t i = 0; i < names.size(); ++i)
    graph.set(op->getResult(static_cast<unsigned>(i)), names[i]);
}

/// A graph's input for a block's argument.
Message argument(Graph &graph, mlir::Value value) {
  std::string name = graph.fresh("in");
  graph.set(value, name);
  return graph.info(name, value.getType());
}

void scan(Graph &graph, Operation *op) {
  auto scan = llvm::cast<ScanOp>(op);
  std::string steps = graph.cast(graph.range(0, scan.getCount().dims()[0]), DataType::Int32);
  std::vector<std::string> inputs;
  for (mlir::Value init : scan.getInits())
    inputs.push_back(graph.full(init));
  inputs.push_back(steps);
  for (mlir::Value sequence : scan.getSequences())
    inputs.push_back(graph.full(sequence));
  graph.open();
  std::vector<Message> arguments;
  for (mlir::BlockArgument carry : scan.carryArgs())
    arguments.push_back(argument(graph, carry));
  arguments.push_back(argument(graph, scan.step()));
  for (mlir::BlockArgument sequence : scan.sequenceArgs())
    arguments.push_back(argument(graph, sequence));
  mlir::Block &body = scan.getRegion().front();
  writeBlock(graph, body);
  std::vector<Message> results = yielded(graph, body);
  Message inner = graph.close(graph.fresh("body"), arguments, results);
  graph.current = op;
  size_t over = 1 + scan.getSequences().size(), stacked = op->getNumResults() - scan.numCarries();
  std::vector<Message> attributes = {graphAttribute("body", inner),
                                     attribute("num_scan_inputs", static_cast<int64_t>(over))};
  if (scan.getReverse()) {
    attributes.push_back(attribute("scan_input_directions", std::vector<int64_t>(over, 1)));
    if (stacked > 0)
      attributes.push_back(attribute("scan_output_directions", std::vector<int64_t>(stacked, 1)));
  }
  setAll(graph, op, graph.addSeveral("Scan", inputs, op->getNumResults(), attributes));
}

Message branchOf(Graph &graph, mlir::Region &region) {
  graph.open();
  writeBlock(graph, region.front());
  std::vector<Message> results = yielded(graph, region.front());
  return graph.close(graph.fresh("branch"), {}, results);
}

void branch(Graph &graph, Operation *op) {
  std::string condition = graph.full(op->getOperand(0));
  Message first = branchOf(graph, op->getRegion(0)), second = branchOf(graph, op->getRegion(1));
  graph.current = op;
  setAll(graph, op,
         graph.addSeveral("If", {condition}, op->getNumResults(),
                          {graphAttribute("then_branch", first), graphAttribute("else_branch", second)}));
}

/// What the condition says of these values, which are the carried ones.
std::string conditionOf(Graph &graph, mlir::Block &block, const std::vector<std::string> &names) {
  for (size_t i = 0; i < names.size(); ++i)
    graph.set(block.getArgument(static_cast<unsigned>(i)), names[i]);
  writeBlock(graph, block);
  return graph.full(block.getTerminator()->getOperand(0));
}

void whileLoop(Graph &graph, Operation *op) {
  mlir::Block &condition = op->getRegion(0).front(), &body = op->getRegion(1).front();
  std::vector<std::string> inits;
  for (mlir::Value init : op->getOperands())
    inits.push_back(graph.full(init));
  std::vector<std::string> inputs = {"", conditionOf(graph, condition, inits)};
  inputs.insert(inputs.end(), inits.begin(), inits.end());
  graph.open();
  std::vector<Message> arguments = {valueInfo(graph.fresh("step"), DataType::Int64, {}),
                                    valueInfo(graph.fresh("going"), DataType::Bool, {})};
  for (mlir::BlockArgument carry : body.getArguments())
    arguments.push_back(argument(graph, carry));
  writeBlock(graph, body);
  std::vector<std::string> next;
  std::vector<Message> results = yielded(graph, body, &next);
  std::string again = graph.fresh("again");
  graph.rename(conditionOf(graph, condition, next), again);
  results.insert(results.begin(), valueInfo(again, DataType::Bool, {}));
  Message inner = graph.close(graph.fresh("body"), arguments, results);
  graph.current = op;
  setAll(graph, op, graph.addSeveral("Loop", inputs, op->getNumResults(), {graphAttribute("body", inner)}));
}

} // namespace

std::vector<Op> controlOps() {
  return {
      {"scan", "Scan", scan},
      {"if", "If", branch},
      {"while", "Loop", whileLoop},
  };
}

} // namespace kiln::exported
