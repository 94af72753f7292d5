// A reader opened by hand, and its batches.
#pragma once

#include "runtime/data/Source.h"
#include "runtime/support/Error.h"
#include "tests/runtime/Temporary.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <set>

namespace kiln {
namespace {

using ::testing::ElementsAre;
using testing::errorOf;
using ::testing::HasSubstr;
using testing::TemporaryFolder;
using Fields = std::vector<std::pair<std::string, kiln_dtype>>;

/// A source and one batch of it.
class Opened {
public:
  Opened(const std::string &reader, const std::string &path, const std::string &options, Fields fields,
         uint32_t seed = 0, std::string override = "", std::vector<Dim> dims = {}, const Codings *given = nullptr,
         bool trains = false) {
    spec_.name = "data";
    spec_.reader = reader;
    spec_.path = path;
    spec_.options = Json::parse(options, "options");
    for (auto &[name, dtype] : fields)
      spec_.fields.push_back({name, {dtype, dims}});
    SourceContext context;
    context.spec = &spec_;
    context.override = std::move(override);
    context.seed = seed;
    context.given = given;
    context.trains = trains;
    source_ = openSource(context);
    memory_.resize(fields.size());
    shapes_.resize(fields.size());
    for (size_t i = 0; i < fields.size(); ++i) {
      memory_[i] = Memory(1 << 16);
      buffers_.push_back({fields[i].second, memory_[i].data(), (1 << 16) / 8, &shapes_[i]});
    }
  }
  Source &source() { return *source_; }
  Source *operator->() { return source_.get(); }
  void load(Split split, int64_t number) { source_->load(split, number, buffers_); }
  template <typename T> std::vector<T> values(size_t field) {
    const T *data = reinterpret_cast<const T *>(memory_[field].data());
    return {data, data + countElements(shapes_[field]).value()};
  }
  const std::vector<int64_t> &shape(size_t field) { return shapes_[field]; }

private:
  SourceSpec spec_;
  std::unique_ptr<Source> source_;
  std::vector<Memory> memory_;
  std::vector<std::vector<int64_t>> shapes_;
  std::vector<FieldBuffer> buffers_;
};

} // namespace
} // namespace kiln
