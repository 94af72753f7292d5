// Hand-made kernels for the conformance kit, launched one by one.
#include "tests/backends/cpu/TestKernel.h"

#include <cmath>
#include <gtest/gtest.h>

namespace kiln::test {

using conformance::Bytes;

//===-- Tensors ---------------------------------------------------------------------------------------------------===//

Tensor Tensor::make(kiln_dtype dtype, std::vector<int64_t> shape) {
  Tensor tensor;
  tensor.dtype = dtype;
  tensor.shape = std::move(shape);
  tensor.allocate();
  return tensor;
}

Tensor Tensor::from(kiln_dtype dtype, std::vector<int64_t> shape, const Bytes &bytes) {
  Tensor tensor = make(dtype, std::move(shape));
  tensor.load(bytes.data());
  return tensor;
}

Number Tensor::get(int64_t i) const {
  auto at = static_cast<size_t>(i);
  return isFloat() ? Number{floats[at], 0} : Number{static_cast<double>(integers[at]), integers[at]};
}

void Tensor::set(int64_t i, Number value) {
  if (isFloat())
    floats[static_cast<size_t>(i)] = reference::roundTo(dtype, value.real);
  else
    integers[static_cast<size_t>(i)] = reference::wrapTo(dtype, value.whole);
}

Bytes Tensor::bytes() const {
  Bytes result(static_cast<size_t>(size() * sdk::byteSize(dtype)));
  store(result.data());
  return result;
}

Tensor randomTensor(kiln_dtype dtype, std::vector<int64_t> shape, double low, double high, uint32_t seed) {
  if (!sdk::isFloat(dtype)) // the kit's bounds are both inside
    low = std::floor(low), high = std::ceil(high) - 1;
  return Tensor(conformance::draw(dtype, std::move(shape), low, high, seed));
}

Tensor wholeNumbers(kiln_dtype dtype, std::vector<int64_t> shape, uint32_t seed, int64_t range) {
  Tensor tensor =
      randomTensor(dtype, std::move(shape), static_cast<double>(-range), static_cast<double>(range + 1), seed);
  for (double &value : tensor.floats)
    value = std::floor(value);
  return tensor;
}

//===-- Kernels ---------------------------------------------------------------------------------------------------===//

Attr integer(std::string name, int64_t value) { return Attr::number(std::move(name), value); }
Attr string(std::string name, std::string value) { return Attr::text(std::move(name), std::move(value)); }
Attr ints(std::string name, std::vector<int64_t> values) { return Attr::list(std::move(name), std::move(values)); }
Attr extents(std::string name, const Dims &values) {
  conformance::Dims dims;
  for (const Dim &dim : values)
    dims.push_back({dim.value, dim.slot});
  return Attr::dims(std::move(name), std::move(dims));
}

conformance::Dims TestKernel::told(const Dims &dims) {
  conformance::Dims result;
  for (const Dim &dim : dims) {
    if (dim.slot == static_cast<int32_t>(bounds().size()))
      extent(dim.value);
    EXPECT_LT(dim.slot, static_cast<int32_t>(bounds().size())) << "extents are named in their order";
    result.push_back({dim.value, dim.slot});
  }
  return result;
}

uint32_t TestKernel::op(std::string opName, std::vector<uint32_t> operands, kiln_dtype dtype, const Dims &dims,
                        std::vector<Attr> attrs) {
  for (const Attr &attr : attrs)
    for (const kiln_extent &dim : attr.extents)
      told({Dim(dim.value, dim.slot)});
  return Kernel::op(std::move(opName), std::move(operands), dtype, told(dims), std::move(attrs));
}

uint32_t TestKernel::op(std::string opName, std::vector<uint32_t> operands) {
  uint32_t first = operands[0];
  return Kernel::op(std::move(opName), std::move(operands), dtype(first), dims(first));
}

std::pair<uint32_t, uint32_t> TestKernel::op2(std::string opName, uint32_t operand, kiln_dtype first, kiln_dtype second,
                                              const Dims &dims, std::vector<Attr> attrs) {
  uint32_t result = op(std::move(opName), {operand}, first, dims, std::move(attrs));
  return {result, another(second, told(dims))};
}

uint32_t TestKernel::constant(kiln_dtype dtype, double value, const Dims &dims) {
  Tensor one = Tensor::make(dtype, {});
  one.set(0, {value, static_cast<int64_t>(value)});
  Bytes bytes = one.bytes();
  return op("constant", {}, dtype, dims, {Attr::bytes("value", {bytes.begin(), bytes.end()})});
}

uint32_t TestKernel::constant(const Tensor &value) {
  Bytes bytes = value.bytes();
  return op("constant", {}, value.dtype, {value.shape.begin(), value.shape.end()},
            {Attr::bytes("value", {bytes.begin(), bytes.end()})});
}

//===-- The judge -------------------------------------------------------------------------------------------------===//

static conformance::Case caseOf(TestKernel &kernel, double tolerance) {
  if (!kernel.table().name.size) // programs point into a table that is there
    kernel.get();
  conformance::Case made;
  made.kernel = std::shared_ptr<conformance::Kernel>(std::shared_ptr<void>(), &kernel);
  made.accuracy.near = tolerance;
  return made;
}

std::vector<Bytes> bytesOf(const std::vector<Tensor> &tensors) {
  std::vector<Bytes> bytes;
  for (const Tensor &tensor : tensors)
    bytes.push_back(tensor.bytes());
  return bytes;
}

static conformance::Expected expect(conformance::Judge &judge, TestKernel &kernel, const std::vector<Tensor> &inputs) {
  conformance::Launch launch;
  launch.extents = kernel.extentValues;
  conformance::Expected expected;
  std::string error;
  if (!judge.expect(launch, bytesOf(inputs), expected, error))
    ADD_FAILURE() << error;
  return expected;
}

std::vector<Tensor> evaluate(TestKernel &kernel, const std::vector<Tensor> &inputs) {
  conformance::Case made = caseOf(kernel, 0);
  conformance::Judge judge(made, false);
  std::vector<Tensor> outputs;
  for (reference::Tensor &value : expect(judge, kernel, inputs).values)
    outputs.emplace_back(std::move(value));
  return outputs;
}

void judge(TestKernel &kernel, const std::vector<Tensor> &inputs, const std::vector<Bytes> &outputs, double tolerance,
           const std::string &what, bool flushesDenormals) {
  conformance::Case made = caseOf(kernel, tolerance);
  conformance::Judge judge(made, flushesDenormals);
  conformance::Expected expected = expect(judge, kernel, inputs);
  ASSERT_EQ(outputs.size(), expected.values.size()) << what;
  conformance::Distance ignored;
  std::string why;
  for (size_t i = 0; i < outputs.size(); ++i)
    EXPECT_TRUE(judge.compare(expected, i, outputs[i], ignored, why)) << what << ": " << why;
}

//===-- Launches --------------------------------------------------------------------------------------------------===//

bool Launches::claim(TestKernel &kernel, std::string &reason) {
  host::Answer answer;
  if (!backend->claim(kernel.get(), target, answer, reason))
    return false;
  reason = answer.reason();
  if (!answer.whole(kernel.get().op_count))
    return false;
  kernels.push_back(&kernel);
  cases.push_back(caseOf(kernel, 0));
  parts.push_back({&cases.back(), answer.parts.front().scratchBytes});
  return true;
}

bool Launches::compile(std::string &error) {
  program = std::make_unique<conformance::KernelProgram>(parts);
  return conformance::compile(*backend, linker, target, program->program(), compiled, error);
}

RunResult Launches::run(conformance::Session &session, size_t number, const std::vector<Bytes> &inputs, bool inPlace,
                        int repeat) {
  RunResult result;
  const TestKernel &kernel = *kernels[number];
  auto executable = session.load(program->program(), compiled, result.error);
  if (!executable)
    return result;
  std::vector<Bytes> arguments = inputs;
  std::vector<size_t> home; // of each output, among the arguments
  for (size_t i = 0; i < kernel.outputs().size(); ++i) {
    bool placed = inPlace && kernel.alias()[i] >= 0;
    home.push_back(placed ? static_cast<size_t>(kernel.alias()[i]) : arguments.size());
    uint32_t value = kernel.outputs()[i];
    if (!placed)
      arguments.emplace_back(conformance::elements(kernel.shapeOf(value)) * sdk::byteSize(kernel.dtype(value)),
                             conformance::unwritten);
  }
  const std::vector<Bytes> before = arguments;
  std::vector<int64_t> extents = kernel.extentValues;
  extents.resize(kernel.bounds().size(), 0);
  kiln_error failure = emptyError();
  const kiln_profile_event *events = nullptr;
  size_t count = 0;
  for (int i = 0; i < repeat; ++i) {
    arguments = before;
    if (repeat > 1)
      session.api().profile(executable.get(), 1, &events, &count, &failure);
    if (!session.run(executable.get(), program->entry(number, inPlace), program->arena(number), arguments, extents,
                     result.status, result.error, conformance::guardBytes))
      return result;
    if (repeat > 1 && !session.api().profile(executable.get(), 1, &events, &count, &failure) && count) {
      double seconds = static_cast<double>(events[count - 1].end_ns - events[0].begin_ns) * 1e-9;
      result.seconds = i ? std::min(result.seconds, seconds) : seconds;
    }
  }
  for (size_t i = 0; i < before.size(); ++i)
    if (std::find(home.begin(), home.end(), i) == home.end() && arguments[i] != before[i])
      result.error = "the kernel wrote to its operand " + std::to_string(i);
  for (size_t at : home)
    result.bytes.push_back(arguments[at]);
  return result;
}

void decode(const TestKernel &kernel, RunResult &result) {
  for (size_t i = 0; i < result.bytes.size(); ++i) {
    uint32_t value = kernel.outputs()[i];
    result.outputs.push_back(Tensor::from(kernel.dtype(value), kernel.shapeOf(value), result.bytes[i]));
  }
}

} // namespace kiln::test
