// A file's matrix as the blocks of a program.
#include "frontend/gguf/Keep.h"

namespace kiln::gguf {

BlockForm keptForm(const TensorInfo &tensor, bool columns) {
  BlockForm form = tensor.type->kept;
  if (form.halves && !form.fits(tensor.shape[1])) { // what codes stand for are whole numbers, or halves of them
    form.wideScales |= form.coding != Coding::None;
    form.halves = false;
    form.coding = Coding::None;
  }
  form.columns = columns;
  return form;
}

std::vector<TensorView> keptTypes(const std::string &name, const TensorInfo &tensor, const BlockForm &form) {
  int64_t rows = tensor.shape[0], width = tensor.shape[1];
  std::vector<TensorView> types;
  auto add = [&](const std::string &end, kiln_dtype dtype, std::vector<int64_t> shape) {
    size_t bytes = static_cast<size_t>(countElements(shape).value_or(0)) * dtypeSize(dtype);
    types.push_back({name + end, dtype, std::move(shape), nullptr, bytes});
  };
  add("", form.numbersType(), form.numbersShape(rows, width));
  add(form.scalesEnd(), form.scalesType(), form.scalesShape(rows, width));
  if (form.minimums)
    add(BlockForm::minimumsEnd, form.scalesType(), form.scalesShape(rows, width));
  return types;
}

std::vector<Tensor> keptParts(const std::string &name, const TensorInfo &tensor, const BlockForm &form,
                              const std::vector<int64_t> &theirs) {
  const BlockType &type = *tensor.type;
  int64_t rows = tensor.shape[0], width = tensor.shape[1], perRow = width / form.size;
  std::vector<Tensor> made;
  for (const TensorView &part : keptTypes(name, tensor, form))
    made.emplace_back(part.name, part.dtype, part.shape);
  bool decoded = type.kept.coding != form.coding;
  int times = type.kept.coding == Coding::E2M1 ? 2 : 1; // there are halves
  std::vector<int8_t> q(static_cast<size_t>(width));
  std::vector<float> its(static_cast<size_t>(perRow)), least(static_cast<size_t>(perRow));
  size_t rowBytes = static_cast<size_t>(width / type.elements) * type.bytes;
  for (int64_t row = 0; row < rows; ++row) {
    const uint8_t *from =
        tensor.data + static_cast<size_t>(theirs.empty() ? row : theirs[static_cast<size_t>(row)]) * rowBytes;
    for (int64_t i = 0; i < width; i += type.elements, from += type.bytes)
      type.split(from, q.data() + i, its.data() + i / form.size, least.data() + i / form.size);
    auto *to = made[0].as<uint8_t>() + row * width / (form.halves ? 2 : 1);
    for (int64_t i = 0; i < width; ++i) {
      int64_t number = q[static_cast<size_t>(i)];
      if (decoded)
        number = static_cast<int64_t>(static_cast<float>(times) *
                                      codedNumber(type.kept.coding, static_cast<uint8_t>(number)));
      form.pack(to, i, number);
    }
    for (int64_t b = 0; b < perRow; ++b) {
      auto store = [&](Tensor &to, float value) {
        storeNumber(form.scalesType(), to.as<void>(), row * perRow + b, static_cast<double>(value));
      };
      store(made[1], its[static_cast<size_t>(b)] / static_cast<float>(decoded ? times : 1));
      if (form.minimums)
        store(made[2], least[static_cast<size_t>(b)]);
    }
  }
  return made;
}

} // namespace kiln::gguf
