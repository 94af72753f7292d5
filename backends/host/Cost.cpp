// Flops and bytes of a kernel, op by op.

#include "backends/host/Cost.h"

#include "backends/api/kiln_text.h"
#include "runtime/support/Tensor.h"

#include <algorithm>
#include <string_view>

namespace kiln::host {

namespace {

/// One term, built factor by factor.
class Product {
public:
  Product(const kiln_kernel &kernel, double factor) : kernel(kernel), term{{}, factor} {}

  Product &dim(uint32_t value, uint32_t axis) {
    const kiln_extent &dim = kernel.values[value].dims[axis];
    if (dim.slot < 0)
      term.factor *= static_cast<double>(dim.value);
    else
      term.slots.push_back(dim.slot);
    return *this;
  }
  Product &elements(uint32_t value, uint32_t fromAxis = 0) {
    for (uint32_t axis = fromAxis; axis < kernel.values[value].rank; ++axis)
      dim(value, axis);
    return *this;
  }
  CostSum::Term get() {
    std::sort(term.slots.begin(), term.slots.end());
    return term;
  }

private:
  const kiln_kernel &kernel;
  CostSum::Term term;
};

CostSum::Term bytesTerm(const kiln_kernel &kernel, uint32_t value) {
  return Product(kernel, static_cast<double>(dtypeSize(kernel.values[value].dtype))).elements(value).get();
}

void addFlops(const kiln_kernel &kernel, const OpRow &op, CostSum &sum) {
  std::string_view name = view(op.name);
  if (name == "dot_general") {
    Product product(kernel, 2);
    product.elements(op.results[0]);
    for (size_t i = 0; i < op.attr_count; ++i)
      if (std::string_view(op.attrs[i].name.data, op.attrs[i].name.size) == "lhs_contract")
        for (size_t axis = 0; axis < op.attrs[i].count; ++axis)
          product.dim(op.operands[0], static_cast<uint32_t>(op.attrs[i].ints[axis]));
    sum.add(product.get());
  } else if (name == "convolution") { // a filter's elements for each output channel
    sum.add(Product(kernel, 2).elements(op.results[0]).elements(op.operands[1], 1).get());
  } else if (name.ends_with("attention") || name.ends_with("attention_grad")) {
    // q [B, H, T, D] against the S rows of k: two products forward, five backward.
    sum.add(Product(kernel, name.ends_with("_grad") ? 10 : 4).elements(op.operands[0]).dim(op.operands[1], 2).get());
  }
}

} // namespace

void CostSum::add(Term term) {
  for (Term &other : terms)
    if (other.slots == term.slots) {
      other.factor += term.factor;
      return;
    }
  terms.push_back(std::move(term));
}

double CostSum::at(const std::vector<int64_t> &extents) const {
  double sum = 0;
  for (const Term &term : terms) {
    double product = term.factor;
    for (int32_t slot : term.slots)
      product *= static_cast<double>(extents[static_cast<size_t>(slot)]);
    sum += product;
  }
  return sum;
}

// A region's as often as the loop runs.
static void addAllFlops(const kiln_kernel &kernel, const CostSum::Term &times, CostSum &sum) {
  for (size_t i = 0; i < kernel.op_count; ++i) {
    const OpRow &op = kernel.ops[i];
    CostSum own;
    addFlops(kernel, op, own);
    for (CostSum::Term &term : own.terms) {
      term.factor *= times.factor;
      term.slots.insert(term.slots.end(), times.slots.begin(), times.slots.end());
      std::sort(term.slots.begin(), term.slots.end());
      sum.add(std::move(term));
    }
    for (size_t a = 0; op.region && a < op.attr_count; ++a)
      if (view(op.attrs[a].name) == "count" && op.attrs[a].count == 1) {
        CostSum::Term inner = times;
        const kiln_extent &count = op.attrs[a].extents[0];
        if (count.slot < 0)
          inner.factor *= static_cast<double>(count.value);
        else
          inner.slots.push_back(count.slot);
        addAllFlops(*op.region, inner, sum);
      }
  }
}

Cost costOf(const kiln_kernel &kernel) {
  Cost cost;
  for (size_t i = 0; i < kernel.input_count; ++i)
    cost.bytes.add(bytesTerm(kernel, kernel.inputs[i]));
  for (size_t i = 0; i < kernel.output_count; ++i)
    cost.bytes.add(bytesTerm(kernel, kernel.outputs[i]));
  addAllFlops(kernel, {{}, 1}, cost.flops);
  return cost;
}

double bytesOf(const kiln_kernel &kernel, uint32_t value, const std::vector<int64_t> &extents) {
  CostSum sum;
  sum.add(bytesTerm(kernel, value));
  return sum.at(extents);
}

} // namespace kiln::host
