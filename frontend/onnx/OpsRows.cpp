// Results with as many rows as data decide: NonMaxSuppression, Unique, NonZero and Compress of data; and what goes on
// with such rows.
#include "frontend/onnx/Ops.h"

#include <algorithm>

namespace kiln::onnx {

//===-- What makes them ------------------------------------------------------------------------------------------===//

/// A setting that is one number, in any shape of one element, as an expression; it may be an input of the model.
static std::string setting(Call &call, size_t input) {
  Value &value = call.in(input);
  if (!value.isSingle())
    refuse("its input " + std::to_string(input) + " is " + typeText(value.dtype, value.shape) +
           "; one number is expected");
  if (const auto &known = value.known ? value.known : value.initial)
    return elementText(known->front(), value.dtype);
  return value.rank() == 0 ? call.tensor(input) : "reshape(" + call.tensor(input) + ")";
}

static void nonMaxSuppression(Call &call) {
  Value boxes = call.in(0), scores = call.in(1);
  bool centred = call.integer("center_point_box", 0) != 0;
  if (boxes.rank() != 3 || scores.rank() != 3 || boxes.shape[2] != Dim(4) || boxes.shape[0] != scores.shape[0] ||
      boxes.shape[1] != scores.shape[2])
    refuse("it wants boxes [N, S, 4] and scores [N, C, S]; found " + typeText(boxes.dtype, boxes.shape) + " and " +
           typeText(scores.dtype, scores.shape));
  Dim steps = boxes.shape[1];
  std::string most;
  if (!call.has(2))
    refuse("it chooses no boxes: without a max_output_boxes_per_class there are none");
  if (call.in(2).known) {
    Dim limit = call.dims(2, "its max_output_boxes_per_class").at(0);
    if (call.importer.isNonNegative(Dim(0) - limit))
      refuse("it chooses no boxes: its max_output_boxes_per_class is " + limit.str());
    if (call.importer.isNonNegative(steps - limit))
      steps = limit;
    else if (!call.importer.isNonNegative(limit - steps))
      most = dimText(limit);
  } else {
    most = setting(call, 2);
  }
  std::string rows = call.resultName(0), count = call.importer.fresh(rows + "_count", "count");
  call.importer.write({rows, count}, "non_max_suppression(" + call.tensor(0) + ", " + call.tensor(1) + ", " +
                                         dimText(steps) + (most.empty() ? "" : keyword("most", most)) +
                                         (call.has(3) ? keyword("overlap", setting(call, 3)) : "") +
                                         (call.has(4) ? keyword("least", setting(call, 4)) : "") +
                                         (centred ? ", centred=True)" : ")"));
  call.alias(0, call.typed(rows));
  call.setRows(0, 0, count);
}

static void unique(Call &call) {
  Value x = call.in(0);
  bool flat = !call.hasAttribute("axis"), ordered = call.integer("sorted", 1) != 0;
  int64_t axis = flat ? 0 : call.axis(call.integer("axis", 0), x.rank());
  std::vector<std::string> names;
  for (size_t i = 0; i < 4; ++i)
    names.push_back(call.wants(i) ? call.resultName(i) : "_");
  std::string count = call.importer.fresh((call.wants(0) ? names[0] : "unique") + "_count", "count");
  names.push_back(count);
  call.importer.write(names, "unique(" + call.tensor(0) + (flat ? "" : keyword("axis", std::to_string(axis))) +
                                 (ordered ? ")" : ", ordered=False)"));
  for (size_t i = 0; i < 4; ++i)
    if (call.wants(i)) {
      call.alias(i, call.typed(names[i]));
      if (i != 2) // there is a number for each row of the input
        call.setRows(i, i == 0 ? axis : 0, count);
    }
}

/// What a condition that is known lets through.
static void compressKnown(Call &call) {
  Value x = call.in(0);
  std::vector<int64_t> condition = call.constants(1, "its condition"), places;
  for (size_t i = 0; i < condition.size(); ++i)
    if (condition[i] != 0)
      places.push_back(static_cast<int64_t>(i));
  bool flat = !call.hasAttribute("axis");
  int64_t axis = flat ? 0 : call.axis(call.integer("axis", 0), x.rank());
  if (!places.empty()) // the condition may be shorter than the axis
    call.importer.needNonNegative((flat ? product(x.shape) : x.shape[axis]) - Dim(places.back() + 1));
  std::string parts, source = flat ? call.let("flat", "reshape(" + call.tensor(0) + ", -1)") : call.tensor(0);
  for (int64_t place : places)
    parts += source + "[" + colons(axis) + std::to_string(place) + ":" + std::to_string(place + 1) + "], ";
  call.set(0, places.empty() ? source + "[" + colons(axis) + "0:0]"
                             : "concat(" + parts + "axis=" + std::to_string(axis) + ")");
}

/// Where elements that are known are not 0.
static void knownPlaces(Call &call) {
  Value x = call.in(0);
  std::vector<double> elements = call.floats(0, "the places of its result");
  std::vector<Dim> shape = x.shape.empty() ? std::vector<Dim>{Dim(1)} : x.shape;
  std::vector<std::vector<int64_t>> places(shape.size());
  int64_t count = 0;
  for (size_t i = 0; i < elements.size(); ++i)
    if (elements[i] != 0) {
      ++count;
      int64_t rest = static_cast<int64_t>(i);
      for (size_t axis = shape.size(); axis-- > 0; rest /= *shape[axis].constant())
        places[axis].push_back(rest % *shape[axis].constant());
    }
  std::vector<Element> out;
  for (const std::vector<int64_t> &axis : places)
    for (int64_t place : axis)
      out.emplace_back(Dim(place));
  call.know(0, KILN_I64, {Dim(static_cast<int64_t>(shape.size())), Dim(count)}, std::move(out));
}

/// Where elements are not 0; known where they are.
static void nonZero(Call &call) {
  Value x = call.in(0);
  if (x.known)
    return knownPlaces(call);
  if (x.rank() == 0)
    refuse("it asks of a single number of data whether it is 0");
  std::string places = call.resultName(0), count = call.importer.fresh(places + "_count", "count");
  call.importer.write({places, count}, "non_zero(" + call.tensor(0) + ")");
  call.alias(0, call.typed(places));
  call.setRows(0, 1, count);
}

static void compress(Call &call) {
  if (call.in(1).known)
    return compressKnown(call);
  Value x = call.in(0);
  bool flat = !call.hasAttribute("axis");
  int64_t axis = flat ? 0 : call.axis(call.integer("axis", 0), x.rank());
  std::string rows = call.resultName(0), count = call.importer.fresh(rows + "_count", "count");
  std::string source = flat && x.rank() != 1 ? "reshape(" + call.tensor(0) + ", -1)" : call.tensor(0);
  call.importer.write({rows, count}, "compress(" + source + ", " + call.tensor(1) + ", " + std::to_string(axis) + ")");
  call.alias(0, call.typed(rows));
  call.setRows(0, axis, count);
}

//===-- What goes on with them -----------------------------------------------------------------------------------===//

static bool isElementwise(const Node &node) {
  static const std::vector<Op> *all = new std::vector<Op>(elementwiseOps());
  return node.domain.empty() &&
         std::any_of(all->begin(), all->end(), [&](const Op &op) { return node.type == op.name; });
}

namespace {
/// How a node has rows in its results that its inputs have.
class Onward {
public:
  explicit Onward(Call &call) : call_(call), inputs_(call.node.type == "CastLike" ? 1 : call.inputs()) {
    for (size_t i = 0; i < inputs_; ++i)
      if (const Value *value = call.has(i) ? call.importer.find(call.node.inputs[i]) : nullptr; value && value->rows) {
        if (rows_ && rows_->count != value->rows->count)
          refuse("data decide how many rows its inputs have, each for itself");
        rows_ = value->rows;
        has_.push_back(i);
      }
  }

  /// Before the node is written: refuses one that would mix what is there with what is behind.
  void check() {
    if (!rows_)
      return;
    const std::string &op = call_.node.type;
    bool firstAlone = has_.size() == 1 && has_[0] == 0, secondAlone = has_.size() == 1 && has_[0] == 1;
    if (isElementwise(call_.node))
      fromEnd_ = elementwise();
    else if (op == "Transpose" && firstAlone)
      axis_ = permuted();
    else if (op == "Gather" && firstAlone && axisOf("axis", 0) != rows_->axis)
      axis_ = rows_->axis < axisOf("axis", 0) ? rows_->axis : rows_->axis - 1 + call_.in(1).rank();
    else if (op == "Gather" && secondAlone)
      axis_ = axisOf("axis", 0) + rows_->axis;
    else if (op == "GatherND" && secondAlone && rows_->axis + 1 < call_.in(1).rank() &&
             call_.integer("batch_dims", 0) == 0)
      axis_ = rows_->axis;
    else if (op == "MatMul" && firstAlone && call_.in(0).rank() == 2 && call_.in(1).rank() == 2 && rows_->axis == 0)
      axis_ = 0;
    else if (op == "Slice" && firstAlone && !slicesRows())
      axis_ = rows_->axis;
    else if (op == "Concat" && has_.size() == call_.inputs() && sameAxis() && axisOf("axis", 0) != rows_->axis)
      axis_ = rows_->axis;
    else if ((op == "Squeeze" || op == "Unsqueeze" || op == "Reshape" || op == "Flatten") && firstAlone &&
             (rows_->axis == 0 || op == "Squeeze" || op == "Unsqueeze"))
      outer_ = true;
    else
      refuse("data decide how many rows its input '" + call_.node.inputs[has_[0]] +
             "' has, of at most so many, and it would mix them with what is behind");
  }
  /// Once it is written.
  void apply() {
    if (!rows_)
      return;
    for (size_t i = 0; i < call_.node.outputs.size(); ++i)
      if (call_.wants(i)) {
        const Value &out = *call_.importer.find(call_.node.outputs[i]);
        int64_t axis = fromEnd_ >= 0 ? out.rank() - fromEnd_ : outer_ ? found(out) : axis_;
        call_.setRows(i, axis, rows_->count);
      }
  }

private:
  int64_t axisOf(const char *name, int64_t fallback) {
    return call_.axis(call_.integer(name, fallback), call_.in(0).rank());
  }
  bool sameAxis() {
    return std::all_of(has_.begin(), has_.end(), [&](size_t i) { return call_.in(i).rows->axis == rows_->axis; });
  }
  /// The axis counted from the end, where all inputs agree on it: what has no such rows is the same for all of them.
  int64_t elementwise() {
    int64_t fromEnd = call_.in(has_[0]).rank() - rows_->axis;
    for (size_t i = 0; i < inputs_; ++i) {
      if (!call_.has(i))
        continue;
      const Value &value = call_.in(i);
      int64_t mine = value.rank() - fromEnd;
      if (value.rows ? value.rows->axis != mine : mine >= 0 && value.shape[static_cast<size_t>(mine)] != Dim(1))
        refuse("data decide how many rows its input '" + call_.node.inputs[has_[0]] + "' has, and those of '" +
               call_.node.inputs[i] + "' are others");
    }
    return fromEnd;
  }
  int64_t permuted() {
    std::vector<int64_t> order = call_.integers("perm");
    int64_t rank = call_.in(0).rank();
    if (order.empty())
      return rank - 1 - rows_->axis;
    return std::find(order.begin(), order.end(), rows_->axis) - order.begin();
  }
  bool slicesRows() {
    size_t starts = call_.opset < 10 ? call_.integers("starts").size() : call_.dims(1, "its starts").size();
    std::vector<int64_t> axes, steps;
    call_.sliceAxes(starts, starts, axes, steps);
    return std::any_of(axes.begin(), axes.end(),
                       [&](int64_t axis) { return call_.axis(axis, call_.in(0).rank()) == rows_->axis; });
  }
  /// Where the rows are once axes of one element have come or gone, or others were put together behind them.
  int64_t found(const Value &out) {
    Value &in = call_.in(has_[0]);
    Dim before = product({in.shape.begin(), in.shape.begin() + rows_->axis}), at(1);
    Dim extent = in.shape[static_cast<size_t>(rows_->axis)];
    for (size_t axis = 0; axis < out.shape.size(); at = at * out.shape[axis++])
      if (at == before && out.shape[axis] == extent)
        return static_cast<int64_t>(axis);
    refuse("data decide how many rows its input '" + call_.node.inputs[has_[0]] + "' has, and its result has them " +
           "along no axis of their own");
  }

  Call &call_;
  size_t inputs_; // that the result is made of: of CastLike's second one only the type is asked
  std::shared_ptr<const Rows> rows_;
  std::vector<size_t> has_;
  int64_t axis_ = 0, fromEnd_ = -1;
  bool outer_ = false;
};
} // namespace

void writeWithRows(const Op &op, Call &call) {
  Onward onward(call);
  onward.check();
  if (!foldKnown(call))
    writeOp(op, call);
  onward.apply();
}

std::vector<Op> rowOps() {
  const char *mixed = "what would mix its rows with what is behind them";
  return {
      {"NonMaxSuppression", 10, "rows, count = non_max_suppression(boxes, scores, 100, overlap=0.5)", nonMaxSuppression,
       mixed},
      {"Unique", 11, "y, first, own, often, count = unique(x, axis=1)", unique, mixed},
      {"NonZero", 9, "places that are known; places, count = non_zero(x)", nonZero, mixed},
      {"Compress", 9, "concat(x[0:1], x[3:4]); rows, count = compress(x, condition, 0)", compress, mixed},
  };
}

} // namespace kiln::onnx
