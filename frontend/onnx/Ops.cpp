// The table of ops: its parts together, templates, the Markdown of docs/onnx.md.
#include "frontend/onnx/Ops.h"

#include <algorithm>

namespace kiln::onnx {

const std::vector<Op> &ops() {
  static const auto *all = [] {
    auto *table = new std::vector<Op>();
    for (const auto &part : {elementwiseOps(), reductionOps(), shapeOps(), indexOps(), networkOps(), signalOps(),
                             recurrentOps(), quantisedOps(), controlOps(), attentionOps(), sequenceOps(), spaceOps(),
                             stateOps(), rowOps(), microsoftOps()})
      table->insert(table->end(), part.begin(), part.end());
    return table;
  }();
  return *all;
}

const Op *findOp(const std::string &domain, const std::string &name) {
  for (const Op &op : ops())
    if (op.name == name && op.domain == domain)
      return &op;
  return nullptr;
}

void writeOp(const Op &op, Call &call) {
  if (op.write)
    return op.write(call);
  std::vector<std::string> operands = call.operands();
  std::string out;
  for (const char *c = op.written; *c; ++c) {
    if (*c != '{') {
      out += *c;
      continue;
    }
    size_t number = static_cast<size_t>(c[1] - '0');
    if (number >= operands.size())
      refuse("its input " + std::to_string(number) + " is missing");
    out += operands[number];
    c += 2;
  }
  // ONNX's functions of one operand keep its type, also where ours compute in a wider one.
  Value &x = call.in(0);
  bool keeps = operands.size() == 1 && x.dtype != KILN_F32 && x.dtype != KILN_BOOL &&
               !std::string_view(op.name).starts_with("Is");
  if (!keeps || !call.wants(0))
    return call.set(0, out);
  call.setAs(x.dtype, out);
}

std::string opsTable() {
  std::vector<const Op *> sorted;
  for (const Op &op : ops())
    sorted.push_back(&op);
  std::sort(sorted.begin(), sorted.end(), [](const Op *a, const Op *b) {
    return std::pair(std::string_view(a->domain), std::string_view(a->name)) <
           std::pair(std::string_view(b->domain), std::string_view(b->name));
  });
  std::string out = "| op | is written | not there |\n|---|---|---|\n";
  for (const Op *op : sorted) {
    std::string written = op->written;
    for (auto [mark, letter] : {std::pair("{0}", "a"), std::pair("{1}", "b"), std::pair("{2}", "c")})
      for (size_t at; (at = written.find(mark)) != std::string::npos;)
        written.replace(at, 3, letter);
    std::string code;
    for (char c : written)
      code += c == '|' ? std::string("\\|") : std::string(1, c);
    out += "| `" + (*op->domain ? std::string(op->domain) + "." : std::string()) + op->name + "` | `" + code + "` | " +
           op->refused + " |\n";
  }
  return out;
}

//===-- What writers share ---------------------------------------------------------------------------------------===//

std::string tupleText(const std::vector<int64_t> &numbers, bool collapse) {
  bool equal =
      !numbers.empty() && std::all_of(numbers.begin(), numbers.end(), [&](int64_t n) { return n == numbers[0]; });
  if (collapse && equal)
    return std::to_string(numbers[0]);
  std::string out;
  for (int64_t number : numbers)
    out += (out.empty() ? "" : ", ") + std::to_string(number);
  return "(" + out + (numbers.size() == 1 ? ",)" : ")");
}

std::string dimsText(const std::vector<Dim> &dims) {
  std::string out;
  for (const Dim &dim : dims)
    out += (out.empty() ? "" : ", ") + dimText(dim);
  return out;
}

std::string axisText(const std::vector<int64_t> &axes) {
  return "axis=" + (axes.size() == 1 ? std::to_string(axes[0]) : tupleText(axes));
}

std::string alongAxis(const std::string &vector, int64_t at, int64_t rank) {
  std::string out;
  for (int64_t axis = at + 1; axis < rank; ++axis)
    out += ", None";
  return out.empty() ? vector : vector + "[:" + out + "]";
}

std::string keyword(const char *name, const std::string &text) { return std::string(", ") + name + "=" + text; }

std::string optional(Call &call, size_t input, const char *name) {
  return call.has(input) ? keyword(name, call.tensor(input)) : "";
}

std::string plus(Call &call, const std::string &text, size_t input) {
  return call.has(input) ? text + " + " + call.tensor(input) : text;
}

std::vector<Dim> broadcastShape(const std::vector<Dim> &a, const std::vector<Dim> &b) {
  const std::vector<Dim> &longer = a.size() >= b.size() ? a : b, &shorter = a.size() >= b.size() ? b : a;
  std::vector<Dim> out = longer;
  size_t offset = longer.size() - shorter.size();
  for (size_t i = 0; i < shorter.size(); ++i) {
    Dim &dim = out[offset + i];
    if (dim == Dim(1))
      dim = shorter[i];
    else if (shorter[i] != Dim(1) && shorter[i] != dim)
      refuse("[" + dimsText(a) + "] and [" + dimsText(b) + "] do not broadcast: " + dimText(dim) +
             " is not shown to be " + dimText(shorter[i]));
  }
  return out;
}

static std::string dimTuple(const std::vector<Dim> &dims) {
  return "(" + dimsText(dims) + (dims.size() == 1 ? ",)" : ")");
}

std::string padded(Call &call, const std::string &x, const std::vector<Dim> &shape, const std::vector<Dim> &low,
                   const std::vector<Dim> &high, const std::string &value, const std::string &mode) {
  std::vector<Dim> more[2] = {low, high};
  std::string cut;
  bool pads = false, cuts = false;
  for (size_t i = 0; i < shape.size(); ++i) {
    std::string ends[2];
    for (int side = 0; side < 2; ++side) {
      Dim &amount = more[side][i];
      pads |= amount != Dim(0);
      if (mode == "reflect" && amount != Dim(0)) // its elements have to be there
        call.importer.needNonNegative(shape[i] - amount - Dim(1));
      if (amount == Dim(0) || call.importer.isNonNegative(amount))
        continue;
      call.importer.needNonNegative(amount);
      call.importer.needAtMost(amount);
      if (!call.importer.isNonNegative(Dim(0) - amount))
        refuse("it pads by " + dimText(amount) + ", which is not shown to be 0 or more: say so by a bound (--bound)");
      ends[side] = dimText(side == 0 ? Dim(0) - amount : shape[i] + amount);
      amount = Dim(0);
      cuts = true;
    }
    cut += (i == 0 ? "" : ", ") + ends[0] + ":" + ends[1];
  }
  std::string out = cuts ? x + "[" + cut + "]" : x;
  pads = false;
  for (size_t i = 0; i < shape.size(); ++i)
    pads |= more[0][i] != Dim(0) || more[1][i] != Dim(0);
  if (!pads)
    return out;
  return "pad(" + out + ", " + dimTuple(more[0]) + ", " + dimTuple(more[1]) +
         (mode != "constant" ? keyword("mode", "\"" + mode + "\"")
          : value == "0.0"   ? ""
                             : keyword("value", value)) +
         ")";
}

} // namespace kiln::onnx
