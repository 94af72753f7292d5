#include "tests/backends/cpu/contract/Case.h"

namespace contract {

static constexpr size_t margin = 4096; // after each output, to be left alone

std::vector<Tensor> runKernel(KernelSpec &spec, const std::vector<Tensor> &inputs, const std::vector<Ints> &outputDims,
                              const std::vector<int64_t> &extents, const std::string &cpu) {
  std::string error;
  auto compiled = Compiled::compile({spec.finish("k0")}, error, cpu);
  if (!compiled) {
    ADD_FAILURE() << error;
    return {};
  }
  std::vector<std::vector<char>> memory;
  for (size_t i = 0; i < inputs.size(); ++i)
    memory.push_back(encode(inputs[i], spec.dtype(spec.inputs[i])));
  std::vector<std::vector<char>> first;
  for (unsigned threads : {1, 2, 3, 8}) {
    std::vector<std::vector<char>> outputs;
    std::vector<void *> args;
    for (auto &bytes : memory)
      args.push_back(bytes.data());
    for (size_t i = 0; i < outputDims.size(); ++i)
      outputs.emplace_back(Tensor(outputDims[i]).data.size() * sizeOf(spec.dtype(spec.outputs[i])) + margin,
                           static_cast<char>(0xff));
    for (auto &bytes : outputs)
      args.push_back(bytes.data());
    kiln_status status = compiled->run(0, args, extents, threads);
    EXPECT_EQ(status.kind, KILN_OK) << (status.kind == Compiled::overran ? "a kernel wrote beyond its scratch" : "");
    for (auto &bytes : outputs)
      for (size_t i = bytes.size() - margin; i < bytes.size(); ++i)
        if (bytes[i] != static_cast<char>(0xff)) {
          ADD_FAILURE() << "wrote beyond an output";
          break;
        }
    if (threads == 1)
      first = outputs;
    else
      EXPECT_TRUE(outputs == first) << "other bits on " << threads << " threads";
  }
  std::vector<Tensor> result;
  for (size_t i = 0; i < outputDims.size(); ++i)
    result.push_back(decode(first[i], spec.dtype(spec.outputs[i]), outputDims[i]));
  return result;
}

} // namespace contract
