// Fields of data sources, read as a whole.
#include "runtime/cli/DataRows.h"

#include "runtime/cli/Stages.h"
#include "runtime/data/Coding.h"
#include "runtime/data/Feeder.h"
#include "runtime/files/File.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>

namespace kiln {

namespace {
struct NamedField {
  const SourceSpec *source = nullptr; ///< null: it is none
  std::string field, recipe;          ///< the recipe that it is of; empty: the first
};
} // namespace

/// "rows.features" (of the first recipe that has such data), or "finetune.rows.features", unless a file of just that
/// name is there.
static NamedField fieldNamed(const std::string &path, const Manifest &manifest) {
  size_t dot = path.rfind('.');
  if (dot == std::string::npos || fileExists(path))
    return {};
  std::string name = path.substr(0, dot), field = path.substr(dot + 1);
  if (const SourceSpec *source = manifest.findSource(name))
    return {source, field, ""};
  for (const StageSpec &stage : manifest.stages)
    for (const SourceSpec &source : stage.data)
      if (name == source.name || name == stage.name + "." + source.name)
        return {&source, field, stage.name};
  return {};
}

static void checkField(const SourceSpec &source, const std::string &wanted, const std::string &option) {
  NearestName nearest(wanted);
  std::string names;
  for (const FieldSpec &field : source.fields) {
    if (field.name == wanted)
      return;
    nearest.consider(field.name);
    names += (names.empty() ? "" : ", ") + field.name;
  }
  fail("--input %s: data '%s' has no field '%s'%s; it has: %s", option.c_str(), source.name.c_str(), wanted.c_str(),
       nearest.hint().c_str(), names.c_str());
}

bool DataRows::asked(const Options &options, const Manifest &manifest, const Call &call) {
  std::vector<std::string> inputs = options.list("input");
  return std::any_of(inputs.begin(), inputs.end(), [&](const std::string &text) {
    return fieldNamed(splitInput(text, call).second, manifest).source != nullptr;
  });
}

DataRows::DataRows(const Options &options, const Common &common, const Manifest &manifest, const Call &call) {
  std::map<std::string, std::set<std::string>> wanted;
  std::optional<std::string> recipe;
  for (const std::string &text : options.list("input")) {
    auto [name, path] = splitInput(text, call);
    Column column;
    auto [source, field, its] = fieldNamed(path, manifest);
    if (!source)
      continue;
    if (recipe.value_or(its) != its)
      throw UsageError("--input " + text + ": the rows of one run are of one recipe's data");
    recipe = its;
    column.field = field;
    if (!source->givesRows())
      fail("--input %s: the rows of csv, arrays, images and series are inputs, those of '%s' are not%s", text.c_str(),
           source->reader.c_str(), hasWords(*source) ? ": give texts by --text or --texts" : "");
    checkField(*source, column.field, text);
    column.source = source->name;
    column.input = inputNamed(call, name);
    wanted[column.source].insert(column.field);
    if (columns_.empty())
      countBy(call.entry().arguments[static_cast<size_t>(column.input)], call.entry());
    columns_.push_back(std::move(column));
  }
  Manifest chosen;
  if (!recipe->empty())
    (chosen = manifest).chooseStage(*recipe);
  const Manifest &its = recipe->empty() ? manifest : chosen;
  Sources sources(its, overridesFor(its, options), common.seed, weightCodings(options, common, its));
  for (const auto &[name, fields] : wanted)
    read(sources.openRows(name, fields));
  for (const Column &column : columns_)
    if (column.shape[0] != columns_[0].shape[0])
      fail("data '%s' has %lld rows, and '%s' %lld: one of each makes a row of the inputs", column.source.c_str(),
           static_cast<long long>(column.shape[0]), columns_[0].source.c_str(),
           static_cast<long long>(columns_[0].shape[0]));
  count_ = static_cast<size_t>(columns_[0].shape[0]);
  if (count_ == 0)
    fail("data '%s' has no rows", columns_[0].source.c_str());
}

void DataRows::read(Source &source) {
  const std::vector<FieldSpec> &specs = source.spec().fields;
  std::vector<FieldBuffer> buffers(specs.size());
  std::vector<std::vector<uint8_t>> blocks(specs.size());
  std::vector<std::vector<int64_t>> shapes(specs.size());
  for (size_t f = 0; f < specs.size(); ++f) {
    if (std::none_of(columns_.begin(), columns_.end(), [&](const Column &column) {
          return column.source == source.spec().name && column.field == specs[f].name;
        }))
      continue;
    int64_t count = 1;
    for (const Dim &dim : specs[f].type.shape)
      count *= dim.constant().value_or(0);
    blocks[f].resize(static_cast<size_t>(count) * dtypeSize(specs[f].type.dtype));
    buffers[f] = {specs[f].type.dtype, blocks[f].data(), count, &shapes[f]};
  }
  for (int64_t batch = 0; batch < source.batches(Split::Validation); ++batch) {
    source.load(Split::Validation, batch, buffers);
    for (Column &column : columns_)
      for (size_t f = 0; f < specs.size(); ++f) {
        if (column.source != source.spec().name || column.field != specs[f].name)
          continue;
        int64_t rows = column.shape.empty() ? 0 : column.shape[0];
        column.dtype = specs[f].type.dtype;
        column.shape = shapes[f];
        column.shape[0] += rows;
        size_t bytes = static_cast<size_t>(*countElements(shapes[f])) * dtypeSize(column.dtype);
        column.bytes.insert(column.bytes.end(), blocks[f].begin(), blocks[f].begin() + static_cast<ptrdiff_t>(bytes));
      }
  }
}

bool DataRows::fills(int argument) const {
  return std::any_of(columns_.begin(), columns_.end(), [&](const Column &one) { return one.input == argument; });
}

void DataRows::fill(Call &call, size_t begin, size_t size) const {
  for (const Column &column : columns_) {
    std::vector<int64_t> shape = column.shape;
    size_t row = column.bytes.size() / count_;
    shape[0] = static_cast<int64_t>(size);
    call.setInput(column.input, column.dtype, shape, column.bytes.data() + begin * row,
                  (column.source + "." + column.field).c_str());
  }
}

extern "C" InputRows *kiln_data_rows(const Options &options, const Common &common, const Manifest &manifest,
                                     const Call &call) {
  return DataRows::asked(options, manifest, call) ? new DataRows(options, common, manifest, call) : nullptr;
}

} // namespace kiln
