#include "runtime/data/Source.h"

#include "runtime/data/Coding.h"
#include "runtime/files/File.h"
#include "runtime/support/Error.h"

namespace kiln {

std::string ownCoding(const std::string &key, const std::string &recipe) {
  for (const char *prefix : {classesPrefix, normalisationPrefix})
    if (!recipe.empty() && key.starts_with(prefix))
      return prefix + recipe + "." + key.substr(std::string_view(prefix).size());
  return key;
}

void Source::addCodings(Codings &all, const std::string &recipe) const {
  for (const auto &[field, vocabulary] : vocabularies())
    all[vocabularyPrefix + spec_.name + "." + field] = vocabulary->serialise();
  for (const auto &[name, text] : codings_)
    for (const std::string &key : {name, ownCoding(name, recipe)})
      if (text.empty())
        all.erase(key);
      else
        all[key] = text;
}

void Source::keepCoding(const char *prefix, const std::string &field, std::string text) {
  codings_[prefix + spec_.name + "." + field] = std::move(text);
}

void Source::keepNormalisation(const SourceContext &context, const std::string &field,
                               const std::vector<size_t> &columns, const std::vector<int32_t> &rows,
                               std::vector<float> &values) {
  if (!columns.empty())
    keepCoding(normalisationPrefix, field, normalise(context, field, columns, rows, values));
}

const char *splitName(Split split) {
  return split == Split::Train ? "train" : split == Split::Validation ? "validation" : "test";
}

Split splitFromName(const std::string &name) {
  for (Split split : {Split::Train, Split::Validation, Split::Test})
    if (name == splitName(split))
      return split;
  fail("unknown split '%s': train, validation or test (of `eval`: all)", name.c_str());
}

void storeField(const Source &source, size_t field, std::span<FieldBuffer> fields, kiln_dtype dtype, const void *data,
                std::span<const int64_t> shape) {
  FieldBuffer &buffer = fields[field];
  // The name is put together for an error alone: this runs within every step, which allocates nothing.
  auto name = [&] { return source.spec().name + "." + source.spec().fields[field].name; };
  int64_t count = *countElements(shape);
  if (count > buffer.capacity)
    fail("data '%s': %s does not fit the program's %s", name().c_str(), describeShape(shape).c_str(),
         source.spec().fields[field].type.str().c_str());
  std::string why;
  if (!convertElements(dtype, data, buffer.dtype, buffer.data, count, why))
    fail("data '%s': %s", name().c_str(), why.c_str());
  buffer.shape->assign(shape.begin(), shape.end());
}

bool mayStandFor(kiln_dtype field, kiln_dtype file) {
  return isFloat(field) == isFloat(file) || (isFloat(field) && dtypeSize(file) <= 2);
}

bool hasWords(const SourceSpec &spec) {
  return spec.reader != "safetensors" && spec.reader != "csv" && spec.reader != "images" && spec.reader != "folder" &&
         spec.reader != "series" && spec.reader != "arrays" && spec.reader != "boxes";
}

std::unique_ptr<Source> openSource(const SourceContext &context) {
  const SourceSpec &spec = *context.spec;
  const std::string &path = context.override.empty() ? spec.path : context.override;
  if ((path.ends_with(".safetensors") && spec.reader != "arrays") || spec.reader == "safetensors")
    return openBatches(context, findData(path, "data '" + spec.name + "'", context.folders));
  for (const Reader *const *reader = kiln_readers; *reader; ++reader)
    if (spec.reader == (*reader)->name)
      return (*reader)->open(context);
  fail("data '%s': unknown reader '%s'", spec.name.c_str(), spec.reader.c_str());
}

} // namespace kiln
